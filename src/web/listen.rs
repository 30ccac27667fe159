//! What is listened on: addresses, socket files and what systemd has opened; all of it before anything is served, so that
//! a wrong one is an error at the start.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::activity::Stream;
use super::connections::Peer;
use super::guard::Guard;
use super::socket_file::{self, SocketFile, SocketFileError};
use crate::system::scope::{Scope, scope};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What an address begins with that is a socket file.
const UNIX: &str = "unix:";

/// Why something can not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no address, or its host has none.
    #[error(
        "{address:?} is not an address to listen on; write host:port, as in 127.0.0.1:9000 or [::1]:9000, :9000 for all addresses, or unix:/path/of/a/socket"
    )]
    Address {
        /// The address as typed.
        address: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The path of a socket file is not a whole one.
    #[error(
        "{address:?} is not an address to listen on; the path of a socket begins with /, as in unix:/run/hermes-exporter/exporter.sock"
    )]
    RelativePath {
        /// The address as typed.
        address: String,
    },
    /// Whoever likes could ask.
    #[error(
        "{address} can be reached from everywhere, and no --web.config.file asks who is there: it is not listened on. Three ways out: listen on an address that only you can reach, such as 127.0.0.1 or the one of Tailscale (--web.listen-address); let only those in who have a password or a certificate (--web.config.file with basic_auth_users or client certificates); or, where something else keeps strangers away, such as a firewall or the network of a container, say so with --web.allow-public-without-auth"
    )]
    Public {
        /// The address.
        address: SocketAddr,
    },
    /// Something else listens there.
    #[error("something listens on {address} already; is it running twice? --web.listen-address chooses another one")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// This program itself listens there.
    #[error("{address} and {other} are one address given twice; once is enough")]
    Twice {
        /// The address.
        address: Address,
        /// The other one.
        other: Address,
    },
    /// It is not this machine's.
    #[error("{address} is not an address of this machine now; `ip address` lists those that are")]
    NotHere {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The operating system would not.
    #[error("can not listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// There is no socket at a path.
    #[error("can not listen on unix:{}", path.display())]
    SocketFile {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: SocketFileError,
    },
    /// Systemd has opened none.
    #[error(
        "--web.systemd-socket was given, and systemd has handed over no socket; is there a .socket unit of the same name as the service, and was it started (systemctl enable --now NAME.socket)?"
    )]
    NothingInherited,
    /// What systemd has opened is none to listen on.
    #[error(
        "the socket number {number} that systemd has handed over is not one to listen on; its unit needs ListenStream=, and Accept=no"
    )]
    Inherited {
        /// Which one, from 1.
        number: usize,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Whether the command line is what is wrong.
    pub fn is_usage(&self) -> bool {
        match self {
            ListenError::Address { .. }
            | ListenError::RelativePath { .. }
            | ListenError::Public { .. }
            | ListenError::Twice { .. }
            | ListenError::NothingInherited => true,
            ListenError::Taken { .. }
            | ListenError::NotHere { .. }
            | ListenError::Bind { .. }
            | ListenError::SocketFile { .. }
            | ListenError::Inherited { .. } => false,
        }
    }
}

/// Where something is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address of this machine.
    Internet(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Internet(address) => address.fmt(formatter),
            Address::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

impl Address {
    fn scope(&self) -> Scope {
        match self {
            Address::Internet(address) => scope(address.ip()),
            Address::Unix(_) => Scope::Loopback,
        }
    }

    /// Whether what connects to one of them may be meant for the other one.
    fn overlaps(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Internet(one), Address::Internet(other)) => {
                let is_all = one.ip().is_unspecified() || other.ip().is_unspecified();
                one.port() == other.port() && (is_all || one.ip() == other.ip())
            }
            (Address::Unix(one), Address::Unix(other)) => one == other,
            (Address::Internet(_), Address::Unix(_)) | (Address::Unix(_), Address::Internet(_)) => false,
        }
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// With the file that is to be removed at the end.
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

/// Something that is listened on.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Address,
}

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn tcp(socket: TcpListener) -> io::Result<Listener> {
        let address = Address::Internet(socket.local_addr()?);
        Ok(Listener { socket: Socket::Tcp(socket), address })
    }

    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // An answer is written at once, and is not to wait for another packet. It works without, only later.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Peer::Address(peer)))
            }
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer::SocketFile))
            }
        }
    }
}

/// Listens on everything that `addresses` name. On what can be reached from everywhere only if it `may_be_public`.
pub async fn bind(addresses: &[String], may_be_public: bool) -> Result<Vec<Listener>, ListenError> {
    let mut wanted = Vec::new();
    for address in addresses {
        let places = places(address).await?;
        for place in &places {
            refuse_public(place, may_be_public)?;
        }
        wanted.push(places);
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for places in wanted {
        let before = listeners.len();
        let mut not_here = None;
        for place in places {
            match listen_on(&place, &listeners) {
                Ok(listener) => listeners.push(listener),
                // A name such as localhost has addresses that not every machine has.
                Err(error @ ListenError::NotHere { .. }) => not_here = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = not_here.filter(|_| listeners.len() == before) {
            return Err(error);
        }
    }
    Ok(listeners)
}

/// Listens on what systemd has opened.
pub fn inherit(may_be_public: bool) -> Result<Vec<Listener>, ListenError> {
    let mut handed_over = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..handed_over.len() {
        let listener =
            take(&mut handed_over, index).map_err(|source| ListenError::Inherited { number: index + 1, source })?;
        refuse_public(&listener.address, may_be_public)?;
        listeners.push(listener);
    }
    if listeners.is_empty() { Err(ListenError::NothingInherited) } else { Ok(listeners) }
}

fn take(handed_over: &mut ListenFd, index: usize) -> io::Result<Listener> {
    let listener = match handed_over.take_tcp_listener(index) {
        Ok(Some(socket)) => {
            listens(rustix::net::sockopt::socket_acceptconn(&socket))?;
            socket.set_nonblocking(true)?;
            Listener::tcp(TcpListener::from_std(socket)?)?
        }
        Ok(None) | Err(_) => {
            let socket = handed_over.take_unix_listener(index)?.ok_or(io::ErrorKind::NotFound)?;
            listens(rustix::net::sockopt::socket_acceptconn(&socket))?;
            socket.set_nonblocking(true)?;
            let path = socket.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
            // The file is systemd's, which still listens when this program has ended.
            Listener {
                socket: Socket::Unix { listener: UnixListener::from_std(socket)?, _file: None },
                address: Address::Unix(path),
            }
        }
    };
    Ok(listener)
}

fn listens(answer: rustix::io::Result<bool>) -> io::Result<()> {
    if answer? { Ok(()) } else { Err(io::Error::other("it is a connection")) }
}

fn refuse_public(address: &Address, may_be_public: bool) -> Result<(), ListenError> {
    match address {
        Address::Internet(address) if !may_be_public && scope(address.ip()) == Scope::Public => {
            Err(ListenError::Public { address: *address })
        }
        Address::Internet(_) | Address::Unix(_) => Ok(()),
    }
}

/// What an address means, each place once.
async fn places(address: &str) -> Result<Vec<Address>, ListenError> {
    if let Some(path) = address.strip_prefix(UNIX) {
        return if path.starts_with('/') {
            Ok(vec![Address::Unix(PathBuf::from(path))])
        } else {
            Err(ListenError::RelativePath { address: address.to_owned() })
        };
    }
    // Without a host: all addresses, of both kinds.
    let host_and_port = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
    let resolved = tokio::net::lookup_host(&host_and_port)
        .await
        .map_err(|source| ListenError::Address { address: address.to_owned(), source })?;
    let mut places = Vec::new();
    for place in resolved.map(Address::Internet) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

/// Listens there; `others` are what this program listens on already.
fn listen_on(place: &Address, others: &[Listener]) -> Result<Listener, ListenError> {
    let twice = || {
        let other = others.iter().find(|other| other.address.overlaps(place))?;
        Some(ListenError::Twice { address: place.clone(), other: other.address.clone() })
    };
    match place {
        Address::Internet(address) => match bind_tcp(*address).and_then(Listener::tcp) {
            Ok(listener) => Ok(listener),
            Err(source) => Err(match source.kind() {
                io::ErrorKind::AddrInUse => twice().unwrap_or(ListenError::Taken { address: *address, source }),
                io::ErrorKind::AddrNotAvailable => ListenError::NotHere { address: *address, source },
                _ => ListenError::Bind { address: *address, source },
            }),
        },
        Address::Unix(path) => {
            let failed = |source| ListenError::SocketFile { path: path.clone(), source };
            let (socket, file) = match socket_file::listen(path) {
                Ok(made) => made,
                Err(source @ SocketFileError::Taken) => return Err(twice().unwrap_or(failed(source))),
                Err(source) => return Err(failed(source)),
            };
            let listener = UnixListener::from_std(socket).map_err(|source| failed(source.into()))?;
            Ok(Listener { socket: Socket::Unix { listener, _file: Some(file) }, address: place.clone() })
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => match TcpSocket::new_v6() {
            Ok(socket) => {
                if address.ip().is_unspecified() {
                    rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
                }
                socket
            }
            // A kernel without IPv6: all addresses are those of the other kind.
            Err(_) if address.ip().is_unspecified() => {
                return bind_tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()));
            }
            Err(error) => return Err(error),
        },
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Logs where is listened and whether that is encrypted, and warns where others can reach it and are asked for nothing.
pub fn announce(listeners: &[Listener], guard: &Guard) {
    let tls = guard.tls().is_some();
    for Listener { address, .. } in listeners {
        tracing::info!(%address, tls, "Listening.");
        if !guard.has_authentication() && address.scope() != Scope::Loopback {
            tracing::warn!(%address, "Others can reach this address, and no --web.config.file asks who is there.");
        }
    }
}

/// Where what listens at an address is reached from this machine: who listens on all addresses, on the one that is always
/// there.
pub fn as_reached_from_here(listened_on: SocketAddr) -> SocketAddr {
    let host = match listened_on.ip() {
        IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    SocketAddr::new(host, listened_on.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listening(addresses: &[&str], may_be_public: bool) -> Result<Vec<Listener>, ListenError> {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        bind(&addresses, may_be_public).await
    }

    async fn refused(addresses: &[&str]) -> ListenError {
        listening(addresses, false).await.unwrap_err()
    }

    #[tokio::test]
    async fn several_addresses_are_bound_and_a_taken_one_is_named() {
        let listeners = listening(&["127.0.0.1:0", "localhost:0", "127.0.0.1:0"], false).await.unwrap();
        assert!(listeners.len() >= 3);
        let taken = listeners[0].address().to_string();
        let error = refused(&[&taken]).await;
        assert!(error.to_string().starts_with(&format!("something listens on {taken} already;")), "{error}");
        assert!(!error.is_usage());
        for wrong in ["", "10119", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":", ":x"] {
            assert!(matches!(refused(&[wrong]).await, ListenError::Address { .. }), "{wrong}");
        }
        let elsewhere = refused(&["169.254.77.77:0"]).await;
        assert!(matches!(elsewhere, ListenError::NotHere { .. }), "{elsewhere}");
    }

    #[tokio::test]
    async fn one_address_given_twice_is_said_to_be_that() {
        let free = listening(&["127.0.0.1:0"], false).await.unwrap()[0].address().to_string();
        let error = refused(&[&free, &free]).await;
        assert!(matches!(&error, ListenError::Twice { .. }) && error.is_usage(), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let unix = format!("unix:{}", folder.path().join("a.sock").display());
        let error = refused(&[&unix, &unix]).await;
        assert_eq!(error.to_string(), format!("{unix} and {unix} are one address given twice; once is enough"));
        let listening = listening(&[&unix], false).await.unwrap();
        assert_eq!(listening[0].address().to_string(), unix);
        assert!(refused(&["unix:a.sock"]).await.is_usage());
    }

    #[tokio::test]
    async fn no_host_is_all_addresses() {
        let listeners = listening(&[":0"], true).await.unwrap();
        let [Listener { address: Address::Internet(address), .. }] = &listeners[..] else { panic!("{listeners:?}") };
        assert!(address.ip().is_unspecified());
        let reached = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
        tokio::net::TcpStream::connect(reached).await.unwrap();
    }

    #[tokio::test]
    async fn what_everybody_can_reach_is_refused_unless_it_is_said() {
        for public in ["0.0.0.0:0", "[::]:0", ":0", "[::ffff:0.0.0.0]:0", "203.0.113.7:9000"] {
            let error = refused(&["127.0.0.1:0", public]).await;
            assert!(matches!(&error, ListenError::Public { .. }) && error.is_usage(), "{public}: {error}");
            let text = error.to_string();
            for way_out in ["127.0.0.1", "Tailscale", "--web.config.file", "--web.allow-public-without-auth"] {
                assert!(text.contains(way_out), "{way_out}: {text}");
            }
        }
        let said = listening(&["0.0.0.0:0"], true).await.unwrap();
        assert_eq!(said[0].address().scope(), Scope::Public);
        // Not this machine's, but not refused for who could reach it.
        assert!(!matches!(refused(&["100.101.102.103:0"]).await, ListenError::Public { .. }));
    }

    #[test]
    fn all_addresses_are_this_machine() {
        for (listened_on, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(as_reached_from_here(listened_on.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
