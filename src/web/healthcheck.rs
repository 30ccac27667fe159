//! Asks a running program whether it is healthy, for container engines that would need a shell and curl otherwise.
//!
//! One request of HTTP/1.0 is written by hand: its answer ends with the connection and is never in pieces, so that
//! neither program needs a client library for it.

use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listen::as_reached_from_here;

/// More than the longest answer: what is wrong with the bridge, a line each.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// What to ask; `PORT` is the one that the program listens on where nothing else is said.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArguments<const PORT: u16> {
    /// Ask at the address that the program listens on; 0.0.0.0 and :: are asked on this machine
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value_t = format!("127.0.0.1:{PORT}"))]
    pub listen_address: String,
    /// Ask whether it does what it is for (`/-/ready`), not only whether it serves (`/-/healthy`)
    #[arg(long)]
    pub ready: bool,
    /// Give up when it takes longer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// Why a program is not healthy, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// It is no address, or its host has none.
    #[error("{address:?} is not an address to ask; write host:port, as in 127.0.0.1:9000 or [::1]:9000")]
    Address {
        /// The address as typed.
        address: String,
        /// What the resolver said.
        #[source]
        source: std::io::Error,
    },
    /// Nothing listens there, or it went away while it was asked.
    #[error("http://{address}{path} can not be asked; does it run, and listen there?")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// For what.
        path: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It hangs.
    #[error("http://{address}{path} has not answered within {}", humantime::format_duration(*timeout))]
    Timeout {
        /// Who was asked.
        address: String,
        /// For what.
        path: &'static str,
        /// How long was waited.
        timeout: Duration,
    },
    /// Something else listens there.
    #[error("what listens on {address} does not speak HTTP")]
    NoHttp {
        /// Who was asked.
        address: String,
    },
    /// It says so itself.
    #[error("http://{address}{path} says {status}: {answer}")]
    Unhealthy {
        /// Who was asked.
        address: String,
        /// For what.
        path: &'static str,
        /// The status of its answer.
        status: u16,
        /// What is wrong, in one line.
        answer: String,
    },
}

impl HealthcheckError {
    /// Whether the question was wrong, and not the answer.
    pub fn is_usage(&self) -> bool {
        matches!(self, HealthcheckError::Address { .. })
    }
}

/// Asks, and gives the program's answer in one line.
pub fn ask<const PORT: u16>(arguments: &HealthcheckArguments<PORT>) -> Result<String, HealthcheckError> {
    let path = if arguments.ready { "/-/ready" } else { "/-/healthy" };
    let address = arguments.listen_address.clone();
    let timeout = arguments.timeout;
    let unreachable = |source| HealthcheckError::Unreachable { address: address.clone(), path, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    let asked = runtime.block_on(async { tokio::time::timeout(timeout, exchange(&address, path)).await });
    // A resolver that hangs must not keep the answer.
    runtime.shutdown_background();
    let answer = match asked {
        Ok(answer) => answer?,
        Err(_) => return Err(HealthcheckError::Timeout { address, path, timeout }),
    };
    let Some((status, body)) = read_answer(&answer) else { return Err(HealthcheckError::NoHttp { address }) };
    if status == 200 { Ok(body) } else { Err(HealthcheckError::Unhealthy { address, path, status, answer: body }) }
}

async fn exchange(address: &str, path: &'static str) -> Result<Vec<u8>, HealthcheckError> {
    let resolved: Vec<_> = tokio::net::lookup_host(address)
        .await
        .map_err(|source| HealthcheckError::Address { address: address.to_owned(), source })?
        .map(as_reached_from_here)
        .collect();
    let exchanged = async {
        let mut connection = TcpStream::connect(&*resolved).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        connection.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    exchanged.await.map_err(|source| HealthcheckError::Unreachable { address: address.to_owned(), path, source })
}

/// The status and the body of an answer, the body in one line.
fn read_answer(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let lines: Vec<_> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Some((status, lines.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    type Arguments = HealthcheckArguments<10119>;

    /// Answers the first request with this; gives where, and what was asked once it has answered.
    fn answering(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let length = connection.read(&mut asked).unwrap();
            connection.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (address, served)
    }

    fn asking(listen_address: impl ToString) -> Arguments {
        Arguments { listen_address: listen_address.to_string(), ready: false, timeout: Duration::from_secs(60) }
    }

    #[test]
    fn who_is_healthy_is_asked_where_it_listens() {
        let (address, served) = answering("HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\nhealthy\n");
        assert_eq!(ask(&asking(format!("0.0.0.0:{}", address.port()))).unwrap(), "healthy");
        assert!(served.join().unwrap().starts_with("GET /-/healthy HTTP/1.0\r\nHost: "));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        let (address, served) = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready\n\n no token\n");
        let error = ask(&Arguments { ready: true, ..asking(address) }).unwrap_err();
        assert_eq!(error.to_string(), format!("http://{address}/-/ready says 503: not ready; no token"));
        assert!(!error.is_usage() && served.join().unwrap().starts_with("GET /-/ready "));

        let (address, served) = answering("220 mail.example ESMTP\r\n");
        assert!(matches!(ask(&asking(address)), Err(HealthcheckError::NoHttp { .. })));
        served.join().unwrap();
    }

    #[test]
    fn of_a_long_answer_only_the_beginning_is_read() {
        let long: &'static str = Box::leak(format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(20_000)).into_boxed_str());
        let (address, served) = answering(long);
        assert!(ask(&asking(address)).unwrap().len() < LONGEST_ANSWER as usize);
        // Who answers need not have got rid of it all.
        let _ = served.join();
    }

    #[test]
    fn nobody_there_and_somebody_who_does_not_answer_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let hasty = Arguments { timeout: Duration::from_millis(50), ..asking(address) };
        assert!(matches!(ask(&hasty), Err(HealthcheckError::Timeout { .. })));
        drop(listener);
        assert!(matches!(ask(&asking(address)), Err(HealthcheckError::Unreachable { .. })));
    }

    #[test]
    fn what_is_no_address_is_bad_usage() {
        for wrong in ["", "10119", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(ask(&asking(wrong)).is_err_and(|error| error.is_usage()), "{wrong}");
        }
    }
}
