//! One look of a crew: the runners, the cells they fill, and what is made of them.
//!
//! Every collector of every instance has a cell, which is filled once: with its answer, or with the reason why
//! there is none. Who waits for the look takes what is in the cells when their own deadline comes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::desk::Reply;
use super::machine::Cell;
use super::{Crew, Selection, Slot, Station, Work};
use crate::error_chain::display_chain;
use crate::exporter::collect::exposure::Sockets;
use crate::exporter::collect::gateway::GatewayProcesses;
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::collect::programs::HermesPrograms;
use crate::exporter::collect::{Look, NetworkLook};
use crate::exporter::reported::in_order;
use crate::exporter::snapshot::{Fleet, Label, Reason, Snapshot, Thresholds};
use crate::system::owner::{Owner, OwnerError};
use crate::system::systemd::Managers;
use crate::system::time::Timestamp;

/// Instances that are worth waking a thread for: that takes as long as looking at one of them.
const INSTANCES_PER_SHARE: usize = 8;

/// A network collector answers before its deadline by itself; one that has not after this long is dropped.
const LAST_WORD: Duration = Duration::from_millis(100);

/// After this long a look under way is not joined any more, so that one that hangs does not hold up the next.
const LONGEST_JOINED: Duration = Duration::from_secs(30);

/// One look of a crew.
#[derive(Debug)]
pub(super) struct Collection {
    selection: Selection,
    started: Instant,
    now: Timestamp,
    gateways: GatewayProcesses,
    programs: Arc<HermesPrograms>,
    sockets: Sockets,
    managers: Arc<Managers>,
    runs: Vec<Run>,
    shares: Vec<Share>,
    /// What each runner is at.
    seats: Vec<Mutex<Option<AtWork>>>,
    /// What comes of the reports.
    replies: Vec<Reply>,
    machine: Vec<Cell>,
    /// By what the machine is judged, and what is not to be found of it.
    thresholds: Thresholds,
    ignored_findings: Vec<Label>,
    /// Parts that are not over: what is read of the instances, what others are asked of them, each report, and each
    /// collector of the machine.
    left: AtomicUsize,
    over: Notify,
    whole: OnceLock<Arc<Fleet>>,
}

impl Collection {
    /// Begins a look of `crew`.
    pub(super) fn start(crew: &Crew, now: Timestamp, selection: &Selection) -> Arc<Collection> {
        let run = |(place, station): (usize, &Arc<Station>)| {
            let selected: Vec<usize> =
                (0..station.slots.len()).filter(|slot| selection.has_collector(station.slots[*slot].name)).collect();
            let (mut read, mut asked) = (Vec::new(), Vec::new());
            for (cell, slot) in selected.iter().enumerate() {
                match station.slots[*slot].work {
                    Work::Reads(_) => read.push(cell),
                    Work::Asks(_) => asked.push(cell),
                }
            }
            Run {
                now,
                place,
                station: Arc::clone(station),
                cells: selected.iter().map(|_| OnceLock::new()).collect(),
                selected,
                read,
                asked,
                claimed: AtomicUsize::new(0),
            }
        };
        let stations = crew.stations.iter().enumerate();
        let stations = stations.filter(|(_, station)| selection.has_instance(&station.instance.name));
        // Who asks for the host alone asks for no instance.
        let is_asked = |run: &Run| selection.collectors.is_empty() || !run.cells.is_empty();
        let runs: Vec<_> = stations.map(run).filter(is_asked).collect();
        let replies: Vec<_> = crew.desks.iter().filter_map(|desk| desk.reply(now, selection)).collect();
        let machine = crew.machine.cells(now, selection);
        let shares = shares(&runs);
        let seats = shares.len().min(crew.most_runners);
        let is_anyone_asked = runs.iter().any(|run| !run.asked.is_empty());
        let parts = [!shares.is_empty(), is_anyone_asked];
        let programs = Arc::new(HermesPrograms::new(Arc::clone(&crew.search)));
        let collection = Arc::new(Collection {
            selection: selection.clone(),
            started: Instant::now(),
            now,
            gateways: GatewayProcesses::new(Arc::clone(&programs)),
            programs,
            sockets: Sockets::default(),
            managers: Arc::clone(&crew.managers),
            seats: (0..seats).map(|_| Mutex::new(None)).collect(),
            left: AtomicUsize::new(parts.into_iter().filter(|part| *part).count() + replies.len() + machine.len()),
            runs,
            shares,
            replies,
            machine,
            thresholds: crew.machine.settings().thresholds,
            ignored_findings: crew.machine.settings().ignored_findings.iter().map(|code| code.label()).collect(),
            over: Notify::new(),
            whole: OnceLock::new(),
        });
        if !collection.shares.is_empty() {
            tokio::spawn(Arc::clone(&collection).supervise());
        }
        if is_anyone_asked {
            tokio::spawn(Arc::clone(&collection).ask_others());
        }
        for reply in 0..collection.replies.len() {
            let collection = Arc::clone(&collection);
            tokio::spawn(async move {
                collection.replies[reply].fill().await;
                collection.one_less();
            });
        }
        for cell in 0..collection.machine.len() {
            let collection = Arc::clone(&collection);
            tokio::spawn(async move {
                collection.machine[cell].fill().await;
                collection.one_less();
            });
        }
        collection
    }

    /// Whether everybody has answered, or has been given up on.
    pub(super) fn is_over(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Whether it has gone on for longer than it takes to give up on a few that hang. Nobody joins such a one.
    pub(super) fn is_stuck(&self) -> bool {
        !self.is_over() && self.started.elapsed() > LONGEST_JOINED
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.over.notify_waiters();
        }
    }

    /// Waits until it is over, at the longest until `deadline`.
    pub(super) async fn over_or(&self, deadline: Instant) {
        let over = self.over.notified();
        tokio::pin!(over);
        // Registered before the check, so that an end between the two is not missed.
        over.as_mut().enable();
        if !self.is_over() {
            let _ = tokio::time::timeout_at(deadline.into(), over).await;
        }
    }

    /// What has been seen of `selection`, at the latest at `deadline`.
    pub(super) async fn fleet(&self, selection: &Selection, deadline: Instant) -> Arc<Fleet> {
        self.over_or(deadline).await;
        if self.is_over() && *selection == self.selection {
            Arc::clone(self.whole.get_or_init(|| self.assemble(selection)))
        } else {
            self.assemble(selection)
        }
    }

    fn assemble(&self, selection: &Selection) -> Arc<Fleet> {
        let asked = self.runs.iter().filter(|run| selection.has_instance(&run.station.instance.name));
        let looked_at = asked.filter_map(|run| Some((run.place, run.snapshot(self.now, selection)?)));
        let told_of = self.replies.iter().filter_map(|reply| Some((reply.after(), reply.snapshot(selection)?)));
        let instances = in_order(looked_at, told_of);
        let mut fleet = Fleet {
            instances,
            thresholds: self.thresholds,
            ignored_findings: self.ignored_findings.clone(),
            ..Fleet::at(self.now)
        };
        for cell in &self.machine {
            cell.put_into(&mut fleet, selection);
        }
        Arc::new(fleet)
    }
}

/// What a runner is at.
#[derive(Debug, Clone, Copy)]
struct AtWork {
    run: usize,
    cell: usize,
    since: Instant,
}

impl Collection {
    /// Sees to it that every cell of what is read is filled, by as many runners as it takes.
    async fn supervise(self: Arc<Self>) {
        let mut runners = JoinSet::new();
        // Who sits where; a runner that has lost its seat is not in here.
        let mut seated = HashMap::new();
        let seat = |runners: &mut JoinSet<Result<(), Panicked>>, number: usize, first: Option<usize>| {
            runners.spawn(Arc::clone(&self).run(number, first)).id()
        };
        for number in 0..self.seats.len() {
            seated.insert(seat(&mut runners, number, None), number);
        }
        while !seated.is_empty() {
            tokio::select! {
                Some(ended) = runners.join_next_with_id() => {
                    let (id, has_panicked) =
                        ended.map_or_else(|error| (error.id(), true), |(id, outcome)| (id, outcome.is_err()));
                    if let Some(number) = seated.remove(&id)
                        && has_panicked
                        && let Some(run) = self.note_panic(number)
                    {
                        seated.insert(seat(&mut runners, number, Some(run)), number);
                    }
                }
                () = tokio::time::sleep_until(self.next_limit().into()) => {
                    for number in 0..self.seats.len() {
                        if let Some(run) = self.give_up_if_overdue(number) {
                            seated.retain(|_, seat| *seat != number);
                            seated.insert(seat(&mut runners, number, Some(run)), number);
                        }
                    }
                }
            }
        }
        // Those that hang are left to themselves.
        runners.detach_all();
        self.one_less();
    }

    fn seat(&self, number: usize) -> std::sync::MutexGuard<'_, Option<AtWork>> {
        self.seats[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first of the collectors at work will have overrun.
    fn next_limit(&self) -> Instant {
        let limit =
            |number| (*self.seat(number)).map(|work| work.since + self.runs[work.run].slot(work.cell).settings.timeout);
        let soon = Instant::now() + Duration::from_millis(100);
        // Who is between two collectors, or has not begun, shows at the next look.
        (0..self.seats.len()).filter_map(limit).min().map_or(soon, |limit| limit.max(Instant::now()))
    }

    /// Takes the seat of a runner whose collector has overrun; answers with the instance it was at.
    fn give_up_if_overdue(&self, number: usize) -> Option<usize> {
        let mut seat = self.seat(number);
        let work = (*seat)?;
        let run = &self.runs[work.run];
        let slot = run.slot(work.cell);
        let timeout = || unanswered(slot, slot.name, Reason::Timeout, work.since.elapsed());
        // Who has answered in the last moment keeps its seat.
        if work.since.elapsed() < slot.settings.timeout || !run.fill(work.cell, timeout()) {
            return None;
        }
        *seat = None;
        Some(work.run)
    }

    /// A collector has panicked, which is a defect of ours and no reason to give up on the rest; answers with the
    /// instance that its runner was at.
    fn note_panic(&self, number: usize) -> Option<usize> {
        let work = self.seat(number).take()?;
        let run = &self.runs[work.run];
        let slot = run.slot(work.cell);
        tracing::error!(collector = slot.name, "A collector panicked; its readings are unknown. Please report it.");
        run.fill(work.cell, unanswered(slot, slot.name, Reason::Io, work.since.elapsed()));
        Some(work.run)
    }

    /// Goes on with instance `first`, then takes one share after the other until none is left, or the seat is lost.
    async fn run(self: Arc<Self>, seat: usize, first: Option<usize>) -> Result<(), Panicked> {
        let mut first = first;
        let mut share = first.and_then(|run| self.shares.iter().position(|share| share.runs.contains(&run)));
        loop {
            let Some(number) = share.take().or_else(|| self.next_share(|_| true)) else {
                return Ok(());
            };
            let (collection, run) = (Arc::clone(&self), first.take());
            let outcome = match &self.shares[number].owner {
                None => {
                    let work = move || collection.work_on_own_shares(seat, number, run);
                    tokio::task::spawn_blocking(work).await.map_err(|_| Panicked)?
                }
                Some(owner) => match owner.run(move || collection.work_on_share(seat, number, run)).await {
                    Ok(outcome) => outcome,
                    Err(OwnerError::Panicked { .. }) => return Err(Panicked),
                    Err(error) => {
                        tracing::debug!(error = display_chain(&error), "an identity could not be taken");
                        self.refuse(number, run, error.reason());
                        ControlFlow::Continue(())
                    }
                },
            };
            if outcome.is_break() {
                return Ok(());
            }
        }
    }

    /// A share that nobody has begun; when there is none, one with instances that nobody has taken.
    fn next_share(&self, is_wanted: impl Fn(&Share) -> bool) -> Option<usize> {
        let begin = |share: &Share| is_wanted(share) && !share.is_begun.swap(true, Ordering::AcqRel);
        let has_left = |share: &Share| is_wanted(share) && share.next.load(Ordering::Acquire) < share.runs.len();
        self.shares.iter().position(begin).or_else(|| self.shares.iter().position(has_left))
    }

    /// Works on a share of the program's own, and on all others of these that are left: on one thread, because each that
    /// is started for a moment keeps memory of its own. `Break` when the seat is lost.
    fn work_on_own_shares(&self, seat: usize, share: usize, first: Option<usize>) -> ControlFlow<()> {
        self.work_on_share(seat, share, first)?;
        while let Some(share) = self.next_share(|share| share.owner.is_none()) {
            self.work_on_share(seat, share, None)?;
        }
        ControlFlow::Continue(())
    }

    /// Works on instance `first`, then on one after the other of a share. `Break` when the seat is lost.
    fn work_on_share(&self, seat: usize, share: usize, first: Option<usize>) -> ControlFlow<()> {
        let share = &self.shares[share];
        for run in first.into_iter().chain(std::iter::from_fn(|| share.claim())) {
            self.work_on(seat, run)?;
        }
        ControlFlow::Continue(())
    }

    /// Nobody can read instance `first` and the rest of a share as their owner.
    fn refuse(&self, share: usize, first: Option<usize>, reason: Reason) {
        let share = &self.shares[share];
        for number in first.into_iter().chain(std::iter::from_fn(|| share.claim())) {
            let run = &self.runs[number];
            while let Some(cell) = run.claim() {
                run.fill(cell, unanswered(run.slot(cell), "owner", reason, Duration::ZERO));
            }
        }
    }

    /// Claims the cells of an instance and fills them. `Break` when somebody else has taken over.
    fn work_on(&self, seat: usize, number: usize) -> ControlFlow<()> {
        let run = &self.runs[number];
        let mut has_entered = false;
        while let Some(cell) = run.claim() {
            let since = Instant::now();
            let slot = run.slot(cell);
            // From here on this is watched: also looking at the home as such may hang.
            *self.seat(seat) = Some(AtWork { run: number, cell, since });
            let entered = if has_entered { Ok(()) } else { run.station.enter() };
            let answer = entered.map(|()| self.read(run, slot, since)).and_then(|answer| {
                // A home that vanishes in the middle makes every missing file look rightly absent.
                run.station.is_there().map(|()| answer)
            });
            has_entered = answer.is_ok();
            let answer = answer.unwrap_or_else(|reason| unanswered(slot, "home", reason, since.elapsed()));
            if !run.fill(cell, answer) {
                return ControlFlow::Break(());
            }
            *self.seat(seat) = None;
        }
        ControlFlow::Continue(())
    }

    fn read(&self, run: &Run, slot: &Slot, since: Instant) -> Answer {
        let Work::Reads(collector) = &slot.work else {
            return unanswered(slot, slot.name, Reason::Unsupported, since.elapsed());
        };
        let mut collector = match collector.try_lock() {
            Ok(collector) => collector,
            // It panicked in an earlier look; what it remembers may be half-done, but it is all re-readable.
            Err(TryLockError::Poisoned(collector)) => collector.into_inner(),
            // Still at work for an earlier look, which has given up on it.
            Err(TryLockError::WouldBlock) => {
                return unanswered(slot, slot.name, Reason::Timeout, since.elapsed());
            }
        };
        let mut problems = Problems::default();
        let look = Look {
            now: self.now,
            instance: &run.station.instance,
            gateways: &self.gateways,
            programs: &self.programs,
            sockets: &self.sockets,
            background: &run.station.background,
        };
        let part = collector.collect(&look, &mut problems);
        Answer::of(part, problems, since.elapsed())
    }
}

impl Collection {
    /// Sees to it that every cell of what others are asked is filled.
    async fn ask_others(self: Arc<Self>) {
        let mut tasks = JoinSet::new();
        let mut cells = HashMap::new();
        for (number, run) in self.runs.iter().enumerate() {
            for cell in &run.asked {
                let task = tasks.spawn(Arc::clone(&self).ask(number, *cell));
                cells.insert(task.id(), (number, *cell));
            }
        }
        while let Some(ended) = tasks.join_next_with_id().await {
            let Err(error) = ended else { continue };
            if let Some((number, cell)) = cells.get(&error.id()) {
                let run = &self.runs[*number];
                let slot = run.slot(*cell);
                tracing::error!(
                    collector = slot.name,
                    "A collector panicked; its readings are unknown. Please report it."
                );
                run.fill(*cell, unanswered(slot, slot.name, Reason::Io, self.started.elapsed()));
            }
        }
        self.one_less();
    }

    /// Asks for one cell, and fills it.
    async fn ask(self: Arc<Self>, number: usize, cell: usize) {
        let since = Instant::now();
        let run = &self.runs[number];
        let slot = run.slot(cell);
        let mut problems = Problems::default();
        let deadline = since + slot.settings.timeout;
        let look = NetworkLook {
            now: self.now,
            instance: &run.station.instance,
            owner: run.station.reader.owner(),
            managers: &self.managers,
            deadline,
        };
        let part = match &slot.work {
            Work::Asks(collector) => {
                // Nobody holds it for longer than this, because who overruns is dropped.
                let answer = async { collector.lock().await.collect(look, &mut problems).await };
                tokio::time::timeout_at((deadline + LAST_WORD).into(), answer).await.ok()
            }
            Work::Reads(_) => None,
        };
        let took = since.elapsed();
        let answer = match part {
            Some(part) => Answer::of(part, problems, took),
            None => unanswered(slot, slot.name, Reason::Timeout, took),
        };
        run.fill(cell, answer);
    }
}

/// A collector has panicked.
#[derive(Debug)]
struct Panicked;

/// Instances that are read one after the other, with the same rights.
#[derive(Debug)]
struct Share {
    /// Who reads them, where that is not the program's own user.
    owner: Option<Arc<Owner>>,
    runs: Vec<usize>,
    is_begun: AtomicBool,
    /// The place of the next one that nobody has taken.
    next: AtomicUsize,
}

impl Share {
    fn claim(&self) -> Option<usize> {
        self.runs.get(self.next.fetch_add(1, Ordering::AcqRel)).copied()
    }
}

/// The runs of which something is read, in shares.
fn shares(runs: &[Run]) -> Vec<Share> {
    let mut by_owner: Vec<(Option<Arc<Owner>>, Vec<usize>)> = Vec::new();
    let mut places: HashMap<Option<u32>, usize> = HashMap::new();
    for (number, run) in runs.iter().enumerate().filter(|(_, run)| !run.read.is_empty()) {
        let owner = run.station.reader.owner();
        let user = owner.as_ref().map(|owner| owner.identity().user);
        let place = *places.entry(user).or_insert_with(|| {
            by_owner.push((owner.cloned(), Vec::new()));
            by_owner.len() - 1
        });
        by_owner[place].1.push(number);
    }
    let in_shares = |(owner, runs): (Option<Arc<Owner>>, Vec<usize>)| {
        let share = |runs: &[usize]| Share {
            owner: owner.clone(),
            runs: runs.to_vec(),
            is_begun: AtomicBool::new(false),
            next: AtomicUsize::new(0),
        };
        runs.chunks(INSTANCES_PER_SHARE).map(share).collect::<Vec<_>>()
    };
    by_owner.into_iter().flat_map(in_shares).collect()
}

/// One look at one instance.
#[derive(Debug)]
struct Run {
    /// The moment of the look.
    now: Timestamp,
    /// The place of its instance among those that are looked at here.
    place: usize,
    station: Arc<Station>,
    /// The slots that are asked, and for each the cell that its answer goes to.
    selected: Vec<usize>,
    cells: Vec<OnceLock<Answer>>,
    /// The cells that runners fill.
    read: Vec<usize>,
    /// The cells that are filled by asking others.
    asked: Vec<usize>,
    /// How many of those that are read have been claimed.
    claimed: AtomicUsize,
}

impl Run {
    /// The next cell to be read that nobody has claimed.
    fn claim(&self) -> Option<usize> {
        self.read.get(self.claimed.fetch_add(1, Ordering::AcqRel)).copied()
    }

    fn slot(&self, cell: usize) -> &Slot {
        &self.station.slots[self.selected[cell]]
    }

    /// Fills a cell, unless it has been filled meanwhile.
    fn fill(&self, cell: usize, answer: Answer) -> bool {
        let mut is_first = false;
        self.cells[cell].get_or_init(|| {
            is_first = true;
            let slot = self.slot(cell);
            answer.noted(&slot.track_record, Some(&self.station.instance.name), slot.name, self.now)
        });
        is_first
    }

    /// What has been seen of the selected collectors; `None` where none of them is about instances.
    fn snapshot(&self, now: Timestamp, selection: &Selection) -> Option<Arc<Snapshot>> {
        let is_asked = |cell: &usize| selection.has_collector(self.slot(*cell).name);
        let asked: Vec<usize> = (0..self.cells.len()).filter(is_asked).collect();
        if asked.is_empty() && !selection.collectors.is_empty() {
            return None;
        }
        let station = &self.station;
        let mut snapshot = Snapshot {
            thresholds: station.instance.thresholds,
            ignored_findings: station.instance.ignored_findings.iter().map(|code| code.label()).collect(),
            ..Snapshot::at(now, station.identity())
        };
        for index in asked {
            let (slot, cell) = (self.slot(index), &self.cells[index]);
            let late;
            let answer = match cell.get() {
                Some(answer) => answer,
                None => {
                    late = unanswered(slot, slot.name, Reason::Timeout, Duration::ZERO)
                        .provisional(&slot.track_record, now);
                    &late
                }
            };
            snapshot.collectors.push(answer.run_of(slot.name));
            answer.part.clone().put_into(&mut snapshot);
        }
        Some(Arc::new(snapshot))
    }
}

fn unanswered(slot: &Slot, subject: &str, reason: Reason, took: Duration) -> Answer {
    Answer::none(slot.unknown, subject, reason, took)
}
