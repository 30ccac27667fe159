//! A unix socket in the file system: made so that nobody can connect who may not, and removed when it is no longer
//! listened on.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Who may connect: the program's user and group, whatever the umask is.
const MODE: u32 = 0o660;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// Something listens there.
    #[error("something listens there already")]
    Taken,
    /// Something is there that is not to be removed.
    #[error("there is something that is no socket; it is left as it is")]
    NoSocket,
    /// It is not known whether somebody listens on what is there.
    #[error("there is a socket, and whether somebody listens on it can not be told")]
    Unclear(#[source] io::Error),
    /// The operating system would not.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// The file of a socket that is listened on; removed when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// So that what has taken its place is not removed.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            // It is said to the next one that nobody listens on it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(found: &fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Listens on a new socket at `path`, in the place of one that nobody listens on any more.
pub fn listen(path: &Path) -> Result<(UnixListener, SocketFile), SocketFileError> {
    clear(path)?;
    let socket = unconnected().map_err(io::Error::from)?;
    // The file is made with this mode less the umask, so that it is never open to more; what the umask took is given
    // back before anything listens.
    fchmod(&socket, Mode::from_raw_mode(MODE)).map_err(io::Error::from)?;
    let address = SocketAddrUnix::new(path).map_err(io::Error::from)?;
    rustix::net::bind(&socket, &address).map_err(io::Error::from)?;
    // Held, and not looked up again by its name: who may write to the folder could have put a link there meanwhile.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?);
    let found = made.metadata()?;
    if !found.file_type().is_socket() {
        return Err(SocketFileError::NoSocket);
    }
    let file = SocketFile { path: path.to_owned(), identity: identity(&found) };
    let held = format!("/proc/self/fd/{}", made.as_raw_fd());
    fs::set_permissions(held, fs::Permissions::from_mode(MODE))?;
    rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from)?;
    Ok((UnixListener::from(socket), file))
}

fn unconnected() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Removes what a program has left that has died.
fn clear(path: &Path) -> Result<(), SocketFileError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketFileError::NoSocket),
        Ok(_) => {}
    }
    // Waits for nothing: one that hangs accepts no connection.
    let connected = unconnected().and_then(|socket| rustix::net::connect(&socket, &SocketAddrUnix::new(path)?));
    match connected {
        // Too many wait to be accepted: somebody is there.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketFileError::Taken),
        Err(Errno::CONNREFUSED) => Ok(fs::remove_file(path)?),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(SocketFileError::Unclear(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_file_is_for_user_and_group_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exporter.sock");
        let (listener, file) = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        UnixStream::connect(&path).unwrap();
        assert!(matches!(listen(&path), Err(SocketFileError::Taken)));
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn one_that_accepts_nothing_any_more_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exporter.sock");
        let address = SocketAddrUnix::new(&path).unwrap();
        let hanging = unconnected().unwrap();
        rustix::net::bind(&hanging, &address).unwrap();
        rustix::net::listen(&hanging, 0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = unconnected().unwrap();
            match rustix::net::connect(&socket, &address) {
                Ok(()) => waiting.push(socket),
                Err(error) => break assert_eq!(error, Errno::AGAIN),
            }
        }
        assert!(matches!(listen(&path), Err(SocketFileError::Taken)));
    }

    #[test]
    fn one_that_nobody_listens_on_is_replaced_and_nothing_else_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exporter.sock");
        // The file of the standard library's stays behind, as that of a program that died.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (first, first_file) = listen(&path).unwrap();
        // What has taken its place is not its own.
        fs::remove_file(&path).unwrap();
        let (_second, _second_file) = listen(&path).unwrap();
        drop((first, first_file));
        UnixStream::connect(&path).unwrap();

        for (name, make) in [
            ("file", (|path| fs::write(path, "precious")) as fn(&Path) -> io::Result<()>),
            ("folder", |path| fs::create_dir(path)),
            ("link", |path| std::os::unix::fs::symlink("exporter.sock", path)),
        ] {
            let path = folder.path().join(name);
            make(&path).unwrap();
            assert!(matches!(listen(&path), Err(SocketFileError::NoSocket)), "{name}");
            assert!(fs::symlink_metadata(&path).is_ok(), "{name}");
        }
        assert!(matches!(listen(&folder.path().join("none/a.sock")), Err(SocketFileError::System(_))));
        assert!(matches!(listen(&folder.path().join("x".repeat(200))), Err(SocketFileError::System(_))));
    }
}
