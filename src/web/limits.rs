//! How much of a server one client, or all of them together, may take. docs/security.md tells these numbers too.

use std::time::Duration;

/// How much may be taken of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. Where there are as many, the one that has waited for its client the longest, between requests
    /// or for the rest of a head or of a body, is closed for a new one; where all are being answered, the new one waits.
    pub connections: usize,
    /// For the handshake of TLS.
    pub handshake: Duration,
    /// From the first byte of a request, or from the beginning of the connection, to the end of the request's head.
    pub head: Duration,
    /// Bytes of a request's head, with its first line.
    pub head_bytes: usize,
    /// Bytes of what is asked for: path and query.
    pub target_bytes: usize,
    /// From the end of a request's head to the last of its answer. Above the longest that anybody may ask to wait.
    pub request: Duration,
    /// Without anything of an answer being taken by who has asked for it.
    pub unread: Duration,
    /// Between requests. Far above the minute between scrapes.
    pub idle: Duration,
    /// To finish what is under way, when the program is told to stop.
    pub grace: Duration,
}

/// What both programs serve with. Bodies of requests have limits where they are read, see `bridge::body`; nothing else
/// reads one.
pub const LIMITS: Limits = Limits {
    connections: 512,
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(10),
    head_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
    request: Duration::from_secs(330),
    unread: Duration::from_secs(30),
    idle: Duration::from_secs(300),
    grace: Duration::from_secs(5),
};
