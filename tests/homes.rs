//! The sample homes, unpacked into a folder of their own, and looks at them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::{Crew, Selection};
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::snapshot::{Fleet, Problem, Snapshot};
use hermes_exporter::system::time::Timestamp;
use tempfile::TempDir;

/// The moment the sample homes were made for.
pub(crate) const MADE_AT: f64 = 1_795_165_255.233391;

/// The sample homes vijay and bheem.
pub(crate) struct Homes {
    folder: TempDir,
}

impl Homes {
    pub(crate) fn unpack() -> Homes {
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(archive()).unpack(folder.path()).unwrap();
        Homes { folder }
    }

    pub(crate) fn vijay(&self) -> PathBuf {
        self.folder.path().join("home-vijay")
    }

    pub(crate) fn bheem(&self) -> PathBuf {
        self.folder.path().join("home-bheem")
    }

    /// A configuration of both, with `more` behind it. No unit of the machine that the tests run on is asked for, nor
    /// its Tailscale.
    pub(crate) fn config_text(&self, more: &str) -> String {
        format!(
            "instances:\n  - {{name: vijay, home: {}, user: root, units: []}}\n  - {{name: bheem, home: {}, user: uma, units: []}}\ntailscale: {{socket: {}}}\n{more}",
            self.vijay().display(),
            self.bheem().display(),
            self.folder.path().join("tailscaled.sock").display(),
        )
    }

    /// Collectors for both.
    pub(crate) fn crew(&self, more: &str) -> Crew {
        let config = Config::from_text(Path::new("test.yml"), &self.config_text(more)).unwrap();
        Crew::new(&config, None, Background::inline())
    }

    /// One look at both, as of the moment they were made for.
    pub(crate) fn look(&self) -> Arc<Fleet> {
        // How full the disk of the tests is is not of the sample.
        look(&self.crew("thresholds: {disk_available: off, disk_available_critical: off}\n"))
    }
}

/// One look, as of the moment the sample homes were made for.
pub(crate) fn look(crew: &Crew) -> Arc<Fleet> {
    let now = Timestamp::from_seconds(MADE_AT).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(crew.look_as_of(now, &Selection::default(), Instant::now() + Duration::from_secs(60)))
}

/// The archive of the homes, decompressed once for all tests: without optimization that takes as long as a look.
fn archive() -> &'static [u8] {
    static ARCHIVE: OnceLock<Vec<u8>> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let mut archive = Vec::new();
        let packed = std::fs::File::open(fixture("homes.tar.gz")).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut archive).unwrap();
        archive
    })
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hermes-0.19.0").join(name)
}

/// The Snapshot of one instance.
pub(crate) fn of<'a>(fleet: &'a Fleet, name: &str) -> &'a Snapshot {
    fleet.instances.iter().find(|snapshot| snapshot.identity.name == name).unwrap()
}

/// What a collector could not tell.
pub(crate) fn problems<'a>(snapshot: &'a Snapshot, collector: &str) -> &'a [Problem] {
    &snapshot.collectors.iter().find(|run| run.collector == collector).unwrap().problems
}
