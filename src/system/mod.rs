//! The outside world: everything that touches the kernel, a file or another process goes through here.
//!
//! Nothing in this room knows what a Hermes home means, or what Prometheus is. It reads, and never writes:
//! no file is created, locked or changed by anything in it.
//!
//! * [`access`]: who besides its owner may do what with a file.
//! * [`control_group`]: which systemd unit a process runs in.
//! * [`descriptors`]: how many files and connections this process may have open.
//! * [`dotenv`]: variables as a Hermes home has them in its `.env`.
//! * [`files`]: bounded, non-blocking reads of small files, and re-reading only what changed.
//! * [`git`]: reading somebody else's git repository without leaving a trace.
//! * [`host_names`]: what machines are called: this one, and others that ssh goes to.
//! * [`http`]: one bounded HTTP request over one fresh connection.
//! * [`log_tail`]: every line of a growing log once, through rotation and truncation.
//! * [`owner`]: threads that read what is another user's with that user's rights.
//! * [`privileges`]: what this process may do beyond the rights of its user.
//! * [`processes`]: which processes are there, and whether one is the process a record speaks of.
//! * [`s6`]: what s6 says of a service that it supervises.
//! * [`scope`]: from where an address can be reached.
//! * [`sockets`]: which TCP sockets listen, and which process holds them.
//! * [`sqlite`]: reading somebody else's live SQLite database without leaving a trace.
//! * [`systemd`]: what the system's manager and those of users say of their units, over D-Bus.
//! * [`time`]: moments, in the many spellings they are written in.
//! * [`users`]: user names, home folders and groups from the passwd and group files.

#[cfg(feature = "exporter")]
pub mod access;
#[cfg(feature = "exporter")]
pub mod control_group;
pub mod descriptors;
pub mod dotenv;
pub mod files;
#[cfg(feature = "exporter")]
pub mod git;
pub mod host_names;
#[cfg(feature = "exporter")]
pub mod http;
#[cfg(feature = "exporter")]
pub mod log_tail;
#[cfg(feature = "exporter")]
pub mod owner;
#[cfg(feature = "exporter")]
pub mod privileges;
pub mod processes;
#[cfg(feature = "exporter")]
pub mod s6;
pub mod scope;
#[cfg(feature = "exporter")]
pub mod sockets;
#[cfg(feature = "exporter")]
pub mod sqlite;
#[cfg(feature = "exporter")]
pub mod systemd;
pub mod time;
#[cfg(feature = "exporter")]
pub mod users;
