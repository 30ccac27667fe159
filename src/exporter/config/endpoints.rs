//! From endpoints as typed to endpoints that are valid.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use serde_saphyr::Spanned;

use super::raw::{RawEndpoint, RawStatus};
use crate::config_file::{Check, ConfigError};
use crate::exporter::endpoint::{Endpoint, MOST_ENDPOINTS, Scheme, Url};
use crate::exporter::snapshot::endpoints::EndpointKind;

/// How long an endpoint may take to answer where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The shortest time after which an endpoint is given up on.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

impl Check<'_> {
    /// The endpoints of one instance; `limit` is how long the collector may take for all of them.
    pub(super) fn endpoints(&self, typed: &[RawEndpoint], limit: Duration) -> Result<Vec<Endpoint>, ConfigError> {
        let mut lines: HashMap<&str, u64> = HashMap::new();
        let mut endpoints = Vec::with_capacity(typed.len());
        for raw in typed {
            let name = self.name(&raw.name, "an endpoint")?;
            if let Some(line) = lines.insert(&raw.name.value, raw.name.referenced.line()) {
                let problem = format!(
                    "there is already an endpoint called {name:?} in line {line}; names are unique in an instance"
                );
                return Err(self.invalid(&raw.name.referenced, "name", problem));
            }
            if endpoints.len() == MOST_ENDPOINTS {
                let problem = format!("more than {MOST_ENDPOINTS} endpoints; an instance may have {MOST_ENDPOINTS}");
                return Err(self.invalid(&raw.name.referenced, "endpoints", problem));
            }
            let url = self.url(&raw.url, raw.kind)?;
            endpoints.push(Endpoint {
                name,
                kind: raw.kind,
                host: raw.host.as_ref().map(|host| self.host(host)).transpose()?,
                timeout: match &raw.timeout {
                    None => TIMEOUT.min(limit.mul_f64(0.6)),
                    Some(typed) => {
                        let timeout = self.duration(typed, "timeout", SHORTEST_TIMEOUT)?;
                        if timeout >= limit {
                            let (timeout, limit) =
                                (humantime::format_duration(timeout), humantime::format_duration(limit));
                            let problem = format!(
                                "{timeout} is too long: the endpoints collector is given up on after {limit}; make this shorter, or collectors.endpoints.timeout longer"
                            );
                            return Err(self.invalid(&typed.referenced, "timeout", problem));
                        }
                        timeout
                    }
                },
                expect_status: self.expect_status(raw)?,
                ca_file: match &raw.ca_file {
                    None => None,
                    Some(typed) if url.scheme == Scheme::Http => {
                        let problem = "only a URL that begins with https:// has a certificate to check";
                        return Err(self.invalid(&typed.referenced, "ca_file", problem));
                    }
                    Some(typed) => Some(self.absolute_path(typed, "ca_file", "/etc/ssl/private-ca.pem")?),
                },
                link: raw.link.as_ref().map(|link| self.link(link)).transpose()?,
                url,
            });
        }
        Ok(endpoints)
    }

    fn url(&self, typed: &Spanned<String>, kind: EndpointKind) -> Result<Url, ConfigError> {
        let text = &typed.value;
        let wrong = |problem: String| self.invalid(&typed.referenced, "url", problem);
        let scheme = match text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => {
                let problem = "it begins neither with http:// nor with https://; write it as in http://127.0.0.1:9119/";
                return Err(wrong(problem.to_owned()));
            }
        };
        // Not repeated in the message: what stands before the @ is secret.
        if text.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
            return Err(wrong(
                "it has a user name or password in it; endpoints are asked without credentials".to_owned(),
            ));
        }
        let uri: Option<Uri> = text.parse().ok().filter(|_| !text.contains('#'));
        let parts = uri.as_ref().and_then(|uri| Some((uri, host_and_port(uri.authority()?)?)));
        let Some((uri, (host, port))) = parts else {
            // Behind a `?` there may be a secret, and messages go to logs.
            let shown = text.split(['?', '#']).next().unwrap_or_default();
            return Err(wrong(format!(
                "{shown:?} is not a URL of a server, with a port of at most 65535 and without `#`; write it as in http://127.0.0.1:9119/"
            )));
        };
        if kind != EndpointKind::Http && uri.query().is_some() {
            let problem =
                format!("{text:?} has a query, and the kind {} knows by itself what to ask for", kind.as_str());
            return Err(wrong(problem));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Url {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or_else(|| scheme.default_port()),
            // `http://host?query` has none.
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// An address for people: it ends in a page as it is written, so that there is no secret in it.
    fn link(&self, typed: &Spanned<String>) -> Result<String, ConfigError> {
        let text = &typed.value;
        let wrong = |problem: &str| self.invalid(&typed.referenced, "link", problem);
        if text.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
            return Err(wrong("it has a user name or password in it, and everybody who sees the page would see it"));
        }
        let uri: Option<Uri> = text.parse().ok();
        let is_web = uri.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().and_then(host_and_port).is_some()
        });
        if !is_web {
            return Err(wrong("it is not an address for a browser; write it as in https://hermes.example/"));
        }
        Ok(text.clone())
    }

    fn host(&self, typed: &Spanned<String>) -> Result<String, ConfigError> {
        let authority = typed.value.parse::<Authority>().ok();
        if authority.as_ref().and_then(host_and_port).is_none() {
            let problem = format!("{:?} is not a host with or without a port, as in hermes.example:9119", typed.value);
            return Err(self.invalid(&typed.referenced, "host", problem));
        }
        Ok(typed.value.clone())
    }

    fn expect_status(&self, raw: &RawEndpoint) -> Result<Vec<u16>, ConfigError> {
        let Some(typed) = &raw.expect_status else {
            return Ok(Vec::new());
        };
        if raw.kind != EndpointKind::Http {
            let problem =
                format!("the kind {} knows by itself what is right; only the kind http takes it", raw.kind.as_str());
            return Err(self.invalid(&typed.referenced, "expect_status", problem));
        }
        if typed.value.is_empty() {
            let problem = "an empty list: nothing would be right; leave it out, or write it as in [200, 401]";
            return Err(self.invalid(&typed.referenced, "expect_status", problem));
        }
        Ok(typed.value.iter().map(|RawStatus(status)| *status).collect())
    }
}

/// Host and port, where they are such as can be connected to.
fn host_and_port(authority: &Authority) -> Option<(&str, Option<u16>)> {
    let text = authority.as_str();
    let host = authority.host();
    let port = match text.strip_prefix(host)? {
        "" => None,
        port => Some(port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?),
    };
    let is_name = |host: &str| {
        !host.is_empty() && host.chars().all(|character| character.is_ascii_alphanumeric() || "-._".contains(character))
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host.then_some((host, port))
}
