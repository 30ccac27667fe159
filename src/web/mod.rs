//! What any HTTP server here needs, whatever it serves.
//!
//! * [`arguments`]: the flags of all this.
//! * [`listen`]: what is listened on, bound before anything is served; [`socket_file`]: a unix socket in the file system.
//! * [`guard`]: who may ask; [`credentials`]: what a request says of who asks.
//! * [`connections`]: serving connections; [`activity`]: what one is doing, and until when; [`limits`]: how much of a
//!   server may be taken.
//! * [`lifetime`]: serving until a signal says otherwise, and then finishing what is under way.
//! * [`service_manager`]: what systemd is told.
//! * [`healthcheck`]: asking a running program whether it is healthy.
//! * [`metrics_text`]: the two text formats of metrics, and which one a request wants.

mod activity;
pub mod arguments;
pub mod connections;
pub mod credentials;
pub mod guard;
pub mod healthcheck;
pub mod lifetime;
pub mod limits;
pub mod listen;
pub mod metrics_text;
pub mod service_manager;
pub mod socket_file;
