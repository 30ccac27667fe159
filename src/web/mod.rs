//! What any HTTP server here needs, whatever it serves.
//!
//! * [`arguments`]: the flags of all this.
//! * [`guard`]: who may ask.
//! * [`healthcheck`]: asking a running program whether it is healthy.
//! * [`listen`]: addresses to listen on, bound before anything is served.
//! * [`lifetime`]: serving until a signal says otherwise, and then finishing what is under way.
//! * [`metrics_text`]: the two text formats of metrics, and which one a request wants.

pub mod arguments;
pub mod guard;
pub mod healthcheck;
pub mod lifetime;
pub mod listen;
pub mod metrics_text;
