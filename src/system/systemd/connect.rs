//! How a manager is reached.
//!
//! The system's: by the system's bus, which lets everybody ask; where there is none, root by the manager's own socket.
//!
//! A user's: by the user's bus, which lets in nobody else, not even root, so that the socket is opened with the
//! [identity of the user](crate::system::owner); where there is no bus, by the manager's own socket.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::geteuid;
use zbus::Connection;
use zbus::connection::Builder;

use super::private_socket::{self, PrivateSocket};
use super::{Address, ManagerError, Places};

/// How long a manager may take for one answer.
const METHOD_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of an attempt.
#[derive(Debug)]
pub(super) enum Reached {
    /// Connected.
    Connected(Connection),
    /// There is no such manager.
    NotRunning,
}

/// A socket, and what is spoken at it.
#[derive(Debug)]
enum Socket {
    Bus(UnixStream),
    Private(UnixStream),
}

/// Connects to the manager at `address`.
pub(super) async fn connect(address: &Address, places: &Places) -> Result<Reached, ManagerError> {
    let systemd = places.systemd.join("system");
    if !is_there(&systemd)? {
        return Err(ManagerError::NoSystemd { path: systemd });
    }
    match address {
        Address::System => {
            let (bus, private) = (places.system_bus.clone(), places.systemd.join("private"));
            let socket = open(&bus, &private)?.ok_or(ManagerError::NoBus { path: bus })?;
            over(socket, geteuid().as_raw()).await.map(Reached::Connected)
        }
        Address::User { user, owner } => {
            let folder = places.users.join(user.to_string());
            if !is_there(&folder)? {
                return Ok(Reached::NotRunning);
            }
            let (bus, private) = (folder.join("bus"), folder.join("systemd/private"));
            let opened = match owner {
                Some(owner) => owner.run(move || open(&bus, &private)).await??,
                None => open(&bus, &private)?,
            };
            match opened {
                // Who speaks at a socket is who has opened it.
                Some(socket) => {
                    let speaker = if owner.is_some() { *user } else { geteuid().as_raw() };
                    over(socket, speaker).await.map(Reached::Connected)
                }
                None => Ok(Reached::NotRunning),
            }
        }
    }
}

/// Whether a folder is there. These are on a filesystem in memory, which does not hang.
fn is_there(folder: &Path) -> Result<bool, ManagerError> {
    let failed = |source| ManagerError::Connect { path: folder.to_owned(), source };
    folder.try_exists().map_err(failed)
}

/// Opens the first of the two sockets at which somebody listens; `None` where nobody does.
fn open(bus: &Path, private: &Path) -> Result<Option<Socket>, ManagerError> {
    if let Some(stream) = dial(bus)? {
        return Ok(Some(Socket::Bus(stream)));
    }
    Ok(dial(private)?.map(Socket::Private))
}

fn dial(path: &Path) -> Result<Option<UnixStream>, ManagerError> {
    let failed = |source: std::io::Error, path: PathBuf| match source.kind() {
        ErrorKind::PermissionDenied => ManagerError::Permission { path, user: geteuid().as_raw() },
        _ => ManagerError::Connect { path, source },
    };
    // Where nobody accepts any more and the queue is full, a blocking connect would never return.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let connected = SocketAddrUnix::new(path).and_then(|address| {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)?;
        Ok(UnixStream::from(socket))
    });
    match connected.map_err(std::io::Error::from) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(failed(error, path.to_owned())),
    }
}

async fn over(socket: Socket, user: u32) -> Result<Connection, ManagerError> {
    let builder = match socket {
        Socket::Bus(stream) => Builder::unix_stream(stream).user_id(user),
        Socket::Private(stream) => {
            let failed = |error: std::io::Error| ManagerError::Bus(error.into());
            let mut stream = tokio::net::UnixStream::from_std(stream).map_err(failed)?;
            let guid = private_socket::authenticate(&mut stream, user).await.map_err(ManagerError::Bus)?;
            Builder::authenticated_socket(PrivateSocket(stream), guid).p2p()
        }
    };
    builder.method_timeout(METHOD_TIMEOUT).build().await.map_err(ManagerError::Bus)
}
