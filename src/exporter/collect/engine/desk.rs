//! The reports of instances that are told of by one: a desk for each, at which a file is read in every look.
//!
//! The file may lie on a dead filesystem, where reading it never ends. It is read on a thread that nobody waits for longer
//! than the collector may take; until that thread is back, later looks find the desk taken and do not try.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Selection;
use super::answer::Answer;
use super::track_record::TrackRecord;
use crate::exporter::collect::problems::Problems;
use crate::exporter::collect::report::{self, ReportReader, Whose};
use crate::exporter::config::CollectorSettings;
use crate::exporter::reported::Reported;
use crate::exporter::snapshot::{CollectorRun, Reason, Snapshot};
use crate::system::time::Timestamp;

/// Reports that are read at once. A thread that hangs keeps its place, so that those on a dead filesystem never take all
/// the threads there are.
static ROOM: Semaphore = Semaphore::const_new(16);

/// Where the report of one instance is read.
#[derive(Debug)]
pub(super) struct Desk {
    reported: Reported,
    /// How long reading may take; `None` where it is not read.
    timeout: Option<Duration>,
    reader: Arc<tokio::sync::Mutex<ReportReader>>,
    /// Whose it is, for when the reader hangs.
    whose: Arc<Mutex<Whose>>,
    track_record: Arc<TrackRecord>,
}

impl Desk {
    /// The desk of an instance. What `former` has read of it, and how that went, goes on.
    pub(super) fn new(
        reported: &Reported,
        settings: &HashMap<&'static str, CollectorSettings>,
        former: Option<&Desk>,
    ) -> Desk {
        let settings = settings.get(CollectorRun::REPORT).filter(|settings| settings.enabled);
        Desk {
            timeout: settings.map(|settings| settings.timeout),
            reader: match former {
                Some(former) => Arc::clone(&former.reader),
                None => Arc::new(tokio::sync::Mutex::new(ReportReader::new(reported))),
            },
            whose: match former {
                Some(former) => Arc::clone(&former.whose),
                None => Arc::new(Mutex::new(Whose::of(reported))),
            },
            track_record: former.map(|former| Arc::clone(&former.track_record)).unwrap_or_default(),
            reported: reported.clone(),
        }
    }

    /// Whether it reads what `reported` names, for the same instance. Where this has moved to in the configuration does not
    /// matter.
    pub(super) fn is_of(&self, reported: &Reported) -> bool {
        self.reported == Reported { after: self.reported.after, ..reported.clone() }
    }

    pub(super) fn name(&self) -> &str {
        &self.reported.name
    }

    /// How many instances that are looked at here stand before it.
    pub(super) fn after(&self) -> usize {
        self.reported.after
    }

    /// What a look at `selection` has to fill; `None` where nothing is asked of the instance.
    pub(super) fn reply(self: &Arc<Self>, now: Timestamp, selection: &Selection) -> Option<Reply> {
        asks(selection, self).then(|| Reply { now, desk: Arc::clone(self), answer: OnceLock::new() })
    }

    fn blank(&self, at: Timestamp) -> Snapshot {
        report::blank(&self.reported, &self.whose.lock().unwrap_or_else(PoisonError::into_inner), at)
    }

    fn unanswered(&self, now: Timestamp, reason: Reason, took: Duration) -> Answer<Snapshot> {
        let mut problems = Problems::default();
        problems.note(CollectorRun::REPORT, reason);
        Answer::of(report::all_unknown(self.blank(now), reason), problems, took)
    }

    async fn read(&self, now: Timestamp, timeout: Duration) -> Answer<Snapshot> {
        let started = Instant::now();
        // Whoever finds it taken: a thread is still at it for an earlier look, which has given up on it.
        let Ok(mut reader) = Arc::clone(&self.reader).try_lock_owned() else {
            return self.unanswered(now, Reason::Timeout, started.elapsed());
        };
        let whose = Arc::clone(&self.whose);
        let reading = async {
            let room = ROOM.acquire().await;
            let read = move || {
                let _room = room;
                let mut problems = Problems::default();
                let snapshot = reader.read(now, &mut problems);
                let (user, profile) = (snapshot.identity.user.clone(), snapshot.identity.profile.clone());
                *whose.lock().unwrap_or_else(PoisonError::into_inner) = Whose { user, profile };
                (snapshot, problems)
            };
            tokio::task::spawn_blocking(read).await
        };
        match tokio::time::timeout(timeout, reading).await {
            Ok(Ok((snapshot, problems))) => Answer::of(snapshot, problems, started.elapsed()),
            Ok(Err(_)) => {
                let collector = CollectorRun::REPORT;
                tracing::error!(collector, "A collector panicked; its readings are unknown. Please report it.");
                self.unanswered(now, Reason::Io, started.elapsed())
            }
            Err(_) => self.unanswered(now, Reason::Timeout, started.elapsed()),
        }
    }
}

/// Whether a selection asks for an instance that is told of by a report. It has one collector, which tells everything.
fn asks(selection: &Selection, desk: &Desk) -> bool {
    let has_collector = match desk.timeout {
        Some(_) => selection.has_collector(CollectorRun::REPORT),
        // As of an instance of which no collector is on, it is told that it is there.
        None => selection.collectors.is_empty(),
    };
    has_collector && selection.has_instance(desk.name())
}

/// What one look has found at a desk.
#[derive(Debug)]
pub(super) struct Reply {
    /// The moment of the look.
    now: Timestamp,
    desk: Arc<Desk>,
    answer: OnceLock<Answer<Snapshot>>,
}

impl Reply {
    pub(super) fn after(&self) -> usize {
        self.desk.after()
    }

    /// Has the report read, and keeps what it says.
    pub(super) async fn fill(&self) {
        let Some(timeout) = self.desk.timeout else { return };
        let answer = self.desk.read(self.now, timeout).await;
        let collector = CollectorRun::REPORT;
        let _ = self.answer.set(answer.noted(&self.desk.track_record, Some(self.desk.name()), collector, self.now));
    }

    /// What has been found, if `selection` asks for it.
    pub(super) fn snapshot(&self, selection: &Selection) -> Option<Arc<Snapshot>> {
        let desk = &self.desk;
        if !asks(selection, desk) {
            return None;
        }
        if desk.timeout.is_none() {
            return Some(Arc::new(desk.blank(self.now)));
        }
        let late = || {
            let unanswered = desk.unanswered(self.now, Reason::Timeout, Duration::ZERO);
            unanswered.provisional(&desk.track_record, self.now)
        };
        let answer = self.answer.get().cloned().unwrap_or_else(late);
        let run = answer.run_of(CollectorRun::REPORT);
        let mut snapshot = answer.part;
        snapshot.collectors.push(run);
        Some(Arc::new(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::Crew;
    use super::*;
    use crate::exporter::collect::background::Background;
    use crate::exporter::config::Config;
    use crate::exporter::snapshot::{Fleet, Reading, Source};

    /// Two instances that are looked at and three that are told of, in a folder without homes and with one report.
    fn config(folder: &Path) -> Config {
        let folder = folder.display();
        let text = format!(
            "instances:
  - {{name: a, report: {folder}/a.json, user: uma}}
  - {{name: b, home: {folder}/b, units: []}}
  - {{name: c, report: {folder}/c.json}}
  - {{name: d, report: {folder}/d.json}}
  - {{name: e, home: {folder}/e, units: []}}
"
        );
        let report = serde_json::json!({
            "format": 1, "taken_at": Timestamp::now().seconds(), "identity": {"name": "c", "profile": "coder"},
            "home": {"known": {"bytes": {"known": 7}}},
        });
        std::fs::write(format!("{folder}/c.json"), report.to_string()).unwrap();
        Config::from_text(Path::new("f"), &text).unwrap()
    }

    fn crew(config: &Config, former: Option<&Crew>) -> Crew {
        Crew::new(config, former, Background::inline())
    }

    async fn look(crew: &Crew, selection: &Selection) -> Arc<Fleet> {
        crew.look(selection, Instant::now() + Duration::from_secs(60)).await
    }

    fn names(fleet: &Fleet) -> Vec<&str> {
        fleet.instances.iter().map(|snapshot| snapshot.identity.name.as_str()).collect()
    }

    fn reason(fleet: &Fleet, name: &str) -> Option<Reason> {
        let snapshot = fleet.instances.iter().find(|snapshot| snapshot.identity.name == name).unwrap();
        snapshot.report_run().unwrap().problems.first().map(|problem| problem.reason)
    }

    #[tokio::test]
    async fn instances_of_both_kinds_stand_in_the_order_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let crew = crew(&config(folder.path()), None);
        let fleet = look(&crew, &Selection::default()).await;
        assert_eq!(names(&fleet), ["a", "b", "c", "d", "e"]);
        assert_eq!(crew.instance_names().collect::<Vec<_>>(), names(&fleet));
        assert_eq!(crew.instances().count(), 2);
        let sources: Vec<_> = fleet.instances.iter().map(|snapshot| snapshot.identity.source).collect();
        use Source::{Local, Report};
        assert_eq!(sources, [Report, Local, Report, Report, Local]);
        assert_eq!(reason(&fleet, "a"), Some(Reason::NotFound));
        assert_eq!(fleet.instances[0].identity.user, "uma", "also where nothing is there");
        assert_eq!(fleet.instances[0].told_at(), None);
        assert_eq!(reason(&fleet, "c"), None);
        assert_eq!(fleet.instances[2].home.known().unwrap().bytes, Reading::Known(7));
        assert_eq!(fleet.instances[2].identity.profile, "coder");
        let is_read_of_others = |run: &CollectorRun| run.collector == CollectorRun::REPORT;
        assert!(!fleet.instances[1].collectors.iter().any(is_read_of_others));
    }

    #[tokio::test]
    async fn a_selection_asks_for_a_report_by_its_instance_and_by_its_collector() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let asked = |collectors: &[&str], instances: &[&str]| Selection {
            collectors: collectors.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>(),
            instances: instances.iter().map(|&name| name.to_owned()).collect(),
        };
        let one = crew(&config, None);
        assert_eq!(names(&*look(&one, &asked(&[], &["c", "e"])).await), ["c", "e"]);
        assert_eq!(names(&*look(&one, &asked(&["report"], &[])).await), ["a", "c", "d"]);
        assert_eq!(names(&*look(&one, &asked(&["home"], &[])).await), ["b", "e"]);
        assert_eq!(names(&*look(&one, &asked(&["host"], &[])).await), [""; 0]);
        config.switch_collectors(&[("report", false)]);
        let fleet = look(&crew(&config, Some(&one)), &Selection::default()).await;
        assert_eq!(names(&fleet), ["a", "b", "c", "d", "e"]);
        assert_eq!((fleet.instances[2].report_run(), fleet.instances[2].home.clone()), (None, Reading::Absent));
    }

    #[tokio::test]
    async fn a_report_that_can_not_be_read_to_its_end_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let crew = crew(&config, None);
        look(&crew, &Selection::default()).await;
        // As a thread that reads from a dead filesystem does.
        let hanging = Arc::clone(&crew.desks[1].reader).lock_owned().await;
        for _ in 0..2 {
            let fleet = look(&crew, &Selection::default()).await;
            assert_eq!((reason(&fleet, "a"), reason(&fleet, "c")), (Some(Reason::NotFound), Some(Reason::Timeout)));
            assert_eq!(fleet.instances[2].identity.profile, "coder", "it is still known who that is");
            assert!(!fleet.instances[2].identity.user.is_empty());
        }
        drop(hanging);
        assert_eq!(reason(&*look(&crew, &Selection::default()).await, "c"), None);
    }

    #[tokio::test]
    async fn what_was_read_and_how_that_went_goes_on_after_a_reload() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let former = crew(&config, None);
        let since = |fleet: &Fleet| fleet.instances[0].report_run().unwrap().failing_since;
        let first = since(&*look(&former, &Selection::default()).await);
        // Another instance before it is no change of its own.
        config.reported[0].after = 1;
        config.reported[2].report = folder.path().join("other.json");
        let next = crew(&config, Some(&former));
        let kept = |place: usize| Arc::ptr_eq(&former.desks[place].reader, &next.desks[place].reader);
        assert_eq!([kept(0), kept(1), kept(2)], [true, true, false]);
        let fleet = look(&next, &Selection::default()).await;
        assert_eq!(names(&fleet), ["b", "a", "c", "d", "e"]);
        assert_eq!(fleet.instances[1].report_run().unwrap().failing_since, first);
    }
}
