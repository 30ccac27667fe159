//! TCP sockets that listen, and which process holds them.
//!
//! The kernel tells the listening sockets of one network namespace, each with the inode of its socket; a process holds
//! those whose inodes are among its open files. Nothing is connected to, and no port is tried.
//!
//! The listening sockets of one's own namespace are asked for over netlink, which walks the few that listen:
//! `/proc/net/tcp` walks the whole table of connections as well, which takes more than a millisecond on a machine
//! with much memory even when it is empty. `/proc` is for other namespaces, and for where netlink is not to be had.

use std::collections::HashSet;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use procfs::net::{TcpNetEntries, TcpState};
use procfs::{FromBufReadSI, ProcError};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::files::{self, FileError};

/// The most listening sockets of a namespace, and the most open files of a process, that are looked through.
const MOST: usize = 65_536;

/// Why sockets could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The kernel refused.
    #[error("no permission to look at the sockets of process {process}")]
    Permission {
        /// The process id.
        process: u32,
    },
    /// There are more than are looked through.
    #[error("process {process} or its network has more than {MOST} sockets or files")]
    TooMany {
        /// The process id.
        process: u32,
    },
    /// A table of the kernel's does not read as expected.
    #[error("the table of sockets of process {process} does not parse")]
    Parse {
        /// The process id.
        process: u32,
        /// What the parser said.
        #[source]
        source: Box<ProcError>,
    },
    /// A file below `/proc` could not be read.
    #[error("reading the sockets of process {process} failed")]
    File {
        /// The process id.
        process: u32,
        /// What the operating system said.
        #[source]
        source: FileError,
    },
    /// Any other failure of the operating system.
    #[error("looking at the sockets of process {process} failed")]
    Io {
        /// The process id.
        process: u32,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// A network namespace: the addresses, ports and sockets that a process sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkNamespace(u64);

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListeningSocket {
    /// The socket's inode, by which its holders are found.
    pub inode: u64,
    /// The address it is bound to; unspecified where it takes what comes to any address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// The network namespace of a process, or `None` where there is no such process.
pub fn namespace_of(process: u32) -> Result<Option<NetworkNamespace>, SocketError> {
    let namespace = std::fs::metadata(format!("/proc/{process}/ns/net"));
    present(process, namespace.map(|metadata| NetworkNamespace(metadata.ino())))
}

/// The TCP sockets that listen in `namespace`, by a process that is in it; `None` where that process has ended.
pub fn listening_in(namespace: NetworkNamespace, process: u32) -> Result<Option<Vec<ListeningSocket>>, SocketError> {
    // A thread's own, because only the main thread's stands below /proc/self.
    let own = std::fs::metadata("/proc/thread-self/ns/net").map(|metadata| NetworkNamespace(metadata.ino()));
    if own.is_ok_and(|own| own == namespace)
        && let Ok(listening) = by_netlink()
    {
        return Ok(Some(listening));
    }
    by_procfs(process)
}

/// The inodes of the sockets that a process has open, or `None` where there is no such process.
pub fn held_by(process: u32) -> Result<Option<HashSet<u64>>, SocketError> {
    let folder = PathBuf::from(format!("/proc/{process}/fd"));
    let Some(entries) = present(process, std::fs::read_dir(&folder))? else {
        return Ok(None);
    };
    let mut inodes = HashSet::new();
    for (number, entry) in entries.enumerate() {
        if number >= MOST {
            return Err(SocketError::TooMany { process });
        }
        // It may end, or close a file, while it is looked at.
        let Some(entry) = present(process, entry)? else {
            return Ok(None);
        };
        let target = present(process, std::fs::read_link(entry.path()))?;
        inodes.extend(target.as_deref().and_then(socket_inode));
    }
    Ok(Some(inodes))
}

/// From `socket:[4711]`.
fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn present<T>(process: u32, attempt: std::io::Result<T>) -> Result<Option<T>, SocketError> {
    match attempt {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // It ended between the open and the read.
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(SocketError::Permission { process }),
        Err(source) => Err(SocketError::Io { process, source }),
    }
}

fn by_procfs(process: u32) -> Result<Option<Vec<ListeningSocket>>, SocketError> {
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let path = PathBuf::from(format!("/proc/{process}/net/{table}"));
        let content = match files::read(&path) {
            Ok(Some(content)) => content,
            // Without IPv6 there is no tcp6.
            Ok(None) if table == "tcp6" => continue,
            Ok(None) => return Ok(None),
            Err(FileError::Permission { .. }) => return Err(SocketError::Permission { process }),
            Err(FileError::TooLarge { .. }) => return Err(SocketError::TooMany { process }),
            Err(source) => return Err(SocketError::File { process, source }),
        };
        listening.extend(parse(&content).map_err(|source| SocketError::Parse { process, source: Box::new(source) })?);
    }
    Ok(Some(listening))
}

fn parse(table: &[u8]) -> Result<Vec<ListeningSocket>, ProcError> {
    let entries = TcpNetEntries::from_buf_read(Cursor::new(table), procfs::current_system_info())?.0;
    let listening = entries.into_iter().filter(|entry| entry.state == TcpState::Listen);
    let described = listening.map(|entry| ListeningSocket {
        address: entry.local_address.ip(),
        port: entry.local_address.port(),
        inode: entry.inode,
    });
    Ok(described.collect())
}

/// Lengths and numbers of `linux/netlink.h` and `linux/inet_diag.h`.
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const MESSAGE: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
const LISTEN: u32 = 10;

fn by_netlink() -> Result<Vec<ListeningSocket>, Errno> {
    let mut listening = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let kind = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, kind)?;
        let family = u8::try_from(family.as_raw()).map_err(|_| Errno::AFNOSUPPORT)?;
        send(&socket, &request(family), SendFlags::empty())?;
        let mut buffer = vec![0; 32 * 1024];
        loop {
            // The kernel makes each part of its answer before it returns: there is nothing to wait for.
            let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
            let is_last = read_messages(buffer.get(..length).unwrap_or_default(), &mut listening)?;
            if is_last {
                break;
            }
            if listening.len() > MOST {
                return Err(Errno::TOOBIG);
            }
        }
    }
    Ok(listening)
}

fn request(family: u8) -> Vec<u8> {
    let mut request = Vec::with_capacity(REQUEST);
    request.extend((REQUEST as u32).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    // Sequence number and port: there is one question, and one who asks.
    request.extend([0; 8]);
    request.extend([family, IPPROTO_TCP, 0, 0]);
    request.extend((1_u32 << LISTEN).to_ne_bytes());
    // Any address and port.
    request.resize(REQUEST, 0);
    request
}

/// Takes the sockets out of one part of the answer; whether it is the last.
fn read_messages(mut part: &[u8], listening: &mut Vec<ListeningSocket>) -> Result<bool, Errno> {
    while !part.is_empty() {
        let length = bytes(part, 0).map(u32::from_ne_bytes).ok_or(Errno::BADMSG)? as usize;
        let kind = bytes(part, 4).map(u16::from_ne_bytes).ok_or(Errno::BADMSG)?;
        let message = part.get(HEADER..length).ok_or(Errno::BADMSG)?;
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = bytes(message, 0).map(i32::from_ne_bytes).ok_or(Errno::BADMSG)?;
                return Err(Errno::from_raw_os_error(code.saturating_neg()));
            }
            SOCK_DIAG_BY_FAMILY => listening.push(socket(message).ok_or(Errno::BADMSG)?),
            _ => {}
        }
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// From an `inet_diag_msg`.
fn socket(message: &[u8]) -> Option<ListeningSocket> {
    if message.len() < MESSAGE {
        return None;
    }
    let [family] = bytes(message, 0)?;
    let address = if AddressFamily::from_raw(family.into()) == AddressFamily::INET {
        IpAddr::V4(Ipv4Addr::from(bytes::<4>(message, 8)?))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes::<16>(message, 8)?))
    };
    let port = u16::from_be_bytes(bytes(message, 4)?);
    Some(ListeningSocket { address, port, inode: u32::from_ne_bytes(bytes(message, 68)?).into() })
}

fn bytes<const COUNT: usize>(of: &[u8], at: usize) -> Option<[u8; COUNT]> {
    of.get(at..at + COUNT)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn inode_of(listener: &TcpListener, held: &HashSet<u64>, listening: &[ListeningSocket]) -> Option<u64> {
        let address = listener.local_addr().unwrap();
        let found = listening.iter().find(|socket| socket.address == address.ip() && socket.port == address.port())?;
        held.contains(&found.inode).then_some(found.inode)
    }

    #[test]
    fn both_ways_tell_the_same_of_ones_own_sockets() {
        let listeners =
            ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"].map(|address| TcpListener::bind(address).unwrap());
        let connected = TcpStream::connect(listeners[0].local_addr().unwrap()).unwrap();
        let own = std::process::id();
        let held = held_by(own).unwrap().unwrap();
        let (by_netlink, by_procfs) = (by_netlink().unwrap(), by_procfs(own).unwrap().unwrap());
        for listener in &listeners {
            let inode = inode_of(listener, &held, &by_netlink);
            assert!(inode.is_some(), "{listener:?}");
            assert_eq!(inode_of(listener, &held, &by_procfs), inode);
        }
        let client = connected.local_addr().unwrap().port();
        assert!(!by_netlink.iter().any(|socket| socket.port == client), "a connection does not listen");
        let namespace = namespace_of(own).unwrap().unwrap();
        assert!(inode_of(&listeners[0], &held, &listening_in(namespace, own).unwrap().unwrap()).is_some());
    }

    #[test]
    fn a_closed_socket_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = held_by(std::process::id()).unwrap().unwrap();
        let inode = inode_of(&listener, &held, &by_netlink().unwrap()).unwrap();
        drop(listener);
        assert!(!held_by(std::process::id()).unwrap().unwrap().contains(&inode));
        assert!(!by_netlink().unwrap().iter().any(|socket| socket.inode == inode));
    }

    #[test]
    fn a_table_of_the_kernel_is_read() {
        let table = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n\
               1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1\n";
        let listening = parse(table).unwrap();
        assert_eq!(listening, [ListeningSocket { address: [127, 0, 0, 1].into(), port: 8080, inode: 4711 }]);
        assert!(parse(b"header\n 0: nonsense\n").is_err());
    }

    #[test]
    fn a_torn_answer_is_an_error_and_not_an_empty_list() {
        let mut listening = Vec::new();
        let mut answer = vec![0; HEADER + MESSAGE];
        answer[..4].copy_from_slice(&((HEADER + MESSAGE) as u32).to_ne_bytes());
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        assert_eq!(read_messages(&answer, &mut listening), Ok(false));
        assert_eq!(listening.len(), 1);
        for length in [1, HEADER - 1, HEADER + 10] {
            assert_eq!(read_messages(&answer[..length], &mut listening), Err(Errno::BADMSG));
        }
        // A length of nothing must not be read for ever.
        answer[..4].copy_from_slice(&0_u32.to_ne_bytes());
        assert_eq!(read_messages(&answer, &mut listening), Err(Errno::BADMSG));
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(held_by(child.id()).unwrap(), None);
        assert_eq!(namespace_of(child.id()).unwrap(), None);
    }
}
