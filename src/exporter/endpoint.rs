//! One address of an installation that is asked whether it answers, as the validated configuration describes it.

use std::path::PathBuf;
use std::time::Duration;

use super::snapshot::endpoints::EndpointKind;

/// The most endpoints of one instance. All of them are asked at once.
pub const MOST_ENDPOINTS: usize = 64;

/// One address to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Its name: the value of the `endpoint` label, unique in the instance.
    pub name: String,
    /// What is expected to answer there.
    pub kind: EndpointKind,
    /// Where it is.
    pub url: Url,
    /// The Host header, where it is not the URL's host.
    pub host: Option<String>,
    /// How long it may take to answer, from the lookup of its name to the end of its answer.
    pub timeout: Duration,
    /// The statuses that are right; none of them means every one from 200 to 399. For the kind `http` only.
    pub expect_status: Vec<u16>,
    /// The certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The address under which people open it, where that is another one.
    pub link: Option<String>,
}

/// A URL in the parts that a request is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Name or address; an IPv6 one stands in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query; begins with a slash.
    pub path: String,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The word it has in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port where a URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Url {
    /// The Host header that goes with it.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The path of something below it: where a reverse proxy serves it below a path, that path comes first.
    pub fn below(&self, path: &str) -> String {
        format!("{}{path}", self.path.trim_end_matches('/'))
    }
}
