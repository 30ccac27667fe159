//! Renderings of what was seen. Nothing in here reads a file or asks anybody: Snapshots go in, text comes out.
//!
//! * [`families`]: the table of every metric there is; the code, `docs/metrics.md` and the tests go by it.
//! * [`family`]: what one of them is.
//! * [`metrics`]: the exposition, OpenMetrics 1.0 as prometheus-client writes it.
//! * [`mod@reference`]: `docs/metrics.md`, from the table.
//! * [`page`]: the status page for people; [`runbooks`]: what to do about a finding, as pages.
//! * [`findings`]: what is wrong, as JSON; [`check`]: the same as a table for people.
//! * [`self_report`]: a Snapshot as it is left for somebody else's exporter to read.
//! * [`targets`]: what Prometheus is to scrape.

pub mod check;
pub mod families;
pub mod family;
pub mod findings;
pub mod metrics;
pub mod page;
pub mod reference;
pub mod runbooks;
pub mod self_report;
pub mod targets;
