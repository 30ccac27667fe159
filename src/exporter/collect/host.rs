//! The machine the exporter runs on, by sysinfo, for those who run no node_exporter beside it.

use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use super::problems::Problems;
use super::{MachineAnswering, MachineCollector, MachinePart};
use crate::exporter::snapshot::host::Host;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::time::Timestamp;

/// Over a shorter time a share of processor time says nothing.
const SHORTEST_CPU_INTERVAL: Duration = Duration::from_secs(1);

/// Looks at the machine.
#[derive(Debug, Default)]
pub struct HostCollector {
    /// Shared with the thread that looks.
    gauges: Arc<Mutex<Gauges>>,
}

impl HostCollector {
    /// A collector that has not looked yet.
    pub fn new() -> Self {
        HostCollector::default()
    }
}

impl MachineCollector for HostCollector {
    fn collect<'a>(&'a mut self, _: Instant, problems: &'a mut Problems) -> MachineAnswering<'a> {
        let gauges = Arc::clone(&self.gauges);
        let look = tokio::task::spawn_blocking(move || match gauges.try_lock() {
            Ok(mut gauges) => gauges.read(),
            Err(TryLockError::Poisoned(gauges)) => gauges.into_inner().read(),
            // Still at it for an earlier look, which has given up on it.
            Err(TryLockError::WouldBlock) => Err(Reason::Timeout),
        });
        Box::pin(async move {
            // An error is a panic.
            match look.await.unwrap_or(Err(Reason::Io)) {
                Ok(host) => MachinePart::Host(Reading::Known(Arc::new(host))),
                Err(reason) => {
                    problems.note("host", reason);
                    MachinePart::Host(Reading::Unknown(reason))
                }
            }
        })
    }
}

#[derive(Debug, Default)]
struct Gauges {
    system: Option<System>,
    cpu: Option<(Instant, Reading<f64>)>,
}

impl Gauges {
    /// The machine as it is now.
    fn read(&mut self) -> Result<Host, Reason> {
        let system = match &mut self.system {
            Some(system) => system,
            none => {
                let wanted = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_usage());
                none.insert(System::new_with_specifics(wanted).map_err(|_| Reason::Unsupported)?)
            }
        };
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let cpu_usage_ratio = match self.cpu {
            // The first look only sets the mark that the next one measures from.
            None => {
                self.cpu = Some((Instant::now(), Reading::Absent));
                Reading::Absent
            }
            Some((since, ratio)) if since.elapsed() < SHORTEST_CPU_INTERVAL => ratio,
            Some(_) => {
                system.refresh_cpu_usage();
                let ratio = Reading::Known(f64::from(system.global_cpu_usage()) / 100.0);
                self.cpu = Some((Instant::now(), ratio));
                ratio
            }
        };
        Ok(Host {
            cpus: system.cpus().len() as u64,
            cpu_usage_ratio,
            memory_size_bytes: system.total_memory(),
            memory_available_bytes: system.available_memory(),
            swap_size_bytes: system.total_swap(),
            swap_free_bytes: system.free_swap(),
            load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]).into(),
            boot_time: System::boot_time().ok().and_then(|at| Timestamp::from_seconds(at as f64)).into(),
            uptime_seconds: System::uptime().ok().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_what_the_kernel_says() {
        let host = Gauges::default().read().unwrap();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(host.memory_size_bytes, total * 1024);
        assert!(host.memory_available_bytes <= host.memory_size_bytes);
        assert_eq!(host.cpus, std::fs::read_to_string("/proc/stat").unwrap().matches("\ncpu").count() as u64);
        assert_eq!(host.cpu_usage_ratio, Reading::Absent);
        assert!(host.uptime_seconds.known().is_some());
    }
}
