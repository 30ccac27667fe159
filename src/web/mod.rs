//! What any HTTP server here needs, whatever it serves.
//!
//! * [`healthcheck`]: asking a running program whether it is healthy.
//! * [`listen`]: addresses to listen on, bound before anything is served.
//! * [`lifetime`]: serving until a signal says otherwise, and then finishing what is under way.
//! * [`metrics_text`]: the two text formats of metrics, and which one a request wants.

pub mod healthcheck;
pub mod lifetime;
pub mod listen;
pub mod metrics_text;
