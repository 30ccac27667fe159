//! A burst of a million records in logs that are rotated while they are followed, counted by the whole exporter.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::{Crew, Selection};
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::snapshot::logs::{Lines, Logs};
use hermes_exporter::exporter::snapshot::{Label, Reading};

/// As Hermes has it by default.
const SIZE: u64 = 5 * 1024 * 1024;
const BACKUPS: usize = 3;

/// Writes as Hermes does: a record that would make the file too large goes into a new one.
struct Rotating {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    rotations: u32,
}

impl Rotating {
    fn at(path: PathBuf) -> Rotating {
        let file = BufWriter::new(File::create(&path).unwrap());
        Rotating { path, file, written: 0, rotations: 0 }
    }

    fn numbered(&self, number: usize) -> PathBuf {
        PathBuf::from(format!("{}.{number}", self.path.display()))
    }

    fn write(&mut self, record: &str) {
        if self.written + record.len() as u64 >= SIZE {
            self.file.flush().unwrap();
            for number in (1..BACKUPS).rev() {
                let _ = std::fs::rename(self.numbered(number), self.numbered(number + 1));
            }
            std::fs::rename(&self.path, self.numbered(1)).unwrap();
            self.file = BufWriter::new(File::create(&self.path).unwrap());
            self.written = 0;
            self.rotations += 1;
        }
        self.file.write_all(record.as_bytes()).unwrap();
        self.written += record.len() as u64;
    }
}

fn crew(home: &Path, background: Background) -> Crew {
    let text = format!("instances: [{{name: vijay, home: {}, units: []}}]\n", home.display());
    Crew::new(&Config::from_text(Path::new("test.yml"), &text).unwrap(), None, background)
}

async fn look(crew: &Crew) -> Arc<Logs> {
    let selection = Selection { collectors: ["logs".to_owned()].into(), ..Selection::default() };
    let fleet = crew.look(&selection, Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(fleet.instances[0].collectors[0].problems, []);
    Arc::clone(fleet.instances[0].logs.known().unwrap())
}

fn agent(logs: &Arc<Logs>) -> Lines {
    *logs.lines[&Label::new("agent")].known().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_records_are_counted_exactly_through_rotation() {
    const RECORDS: u64 = 1_000_000;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("logs");
    std::fs::create_dir(&folder).unwrap();
    let mut log = Rotating::at(folder.join("agent.log"));
    let mut errors = Rotating::at(folder.join("errors.log"));
    let crew = crew(home.path(), Background::start().unwrap());
    assert_eq!(agent(&look(&crew).await), Lines::default());

    let mut expected = Lines::default();
    let mut looked_at = 0;
    for number in 0..RECORDS {
        let (level, count) = match number % 10 {
            0..6 => ("INFO", &mut expected.info),
            6 | 7 => ("DEBUG", &mut expected.debug),
            8 => ("WARNING", &mut expected.warning),
            _ => ("ERROR", &mut expected.error),
        };
        *count += 1;
        let record = format!("2026-11-20 08:49:16,713 {level} [s] agent.loop: HTTP 429 no. {number}\n");
        log.write(&record);
        if level == "ERROR" {
            log.write("Traceback (most recent call last):\n  File \"x.py\", line 1\n");
            errors.write(&record);
        }
        // Before the oldest file that has not been read is dropped; scrapes come more often.
        if log.rotations >= looked_at + BACKUPS as u32 {
            looked_at = log.rotations;
            let reached = expected;
            log.file.flush().unwrap();
            while agent(&look(&crew).await) != reached {}
        }
    }
    log.file.flush().unwrap();
    errors.file.flush().unwrap();
    assert!(log.rotations > 10, "{} rotations", log.rotations);
    while agent(&look(&crew).await) != expected {}
    let logs = look(&crew).await;
    assert_eq!(agent(&logs), expected, "not more either");
    assert_eq!(logs.rate_limited, Reading::Known(expected.error));
}
