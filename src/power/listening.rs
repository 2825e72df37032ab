//! The socket that jouled-power waits on: systemd's, or one of its own where there is no systemd.

use rustix::fs::{AtFlags, CWD, Mode, Uid, chownat, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::geteuid;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

const FOR_ITS_USER: Mode = Mode::RUSR.union(Mode::WUSR);
/// Write permission of the group and of all.
const OF_OTHERS: u32 = 0o022;
/// The daemon has two connections at most.
const MOST_WAITING: i32 = 16;

/// A socket that waits for connections.
#[derive(Debug)]
pub struct Listening {
    pub(super) socket: UnixListener,
    /// Whoever gave the socket starts this program again when somebody connects.
    pub(super) started_on_demand: bool,
}

impl Listening {
    /// The one that systemd has passed as standard input (`StandardInput=socket`).
    pub fn from_systemd() -> io::Result<Self> {
        let socket = UnixListener::from(rustix::stdio::stdin().try_clone_to_owned()?);
        socket.local_addr()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            started_on_demand: true,
        })
    }

    /// One of its own, for this user alone.
    ///
    /// Errors: others could put something in its place, or something lies there already.
    pub fn at(path: &Path, user: u32) -> io::Result<Self> {
        check_folder(path)?;
        remove_old_socket(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Its file begins with the socket's own mode (net/unix/af_unix.c): never more open.
        fchmod(&socket, FOR_ITS_USER)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        let user = Some(Uid::from_raw(user));
        chownat(CWD, path, user, None, AtFlags::SYMLINK_NOFOLLOW)?;
        listen(&socket, MOST_WAITING)?;
        Ok(Self {
            socket: UnixListener::from(socket),
            started_on_demand: false,
        })
    }
}

/// Who may write to the folder may put another file in the socket's place; a sticky one keeps
/// them from removing it, not from being first.
fn check_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let is = folder.symlink_metadata()?;
    let owned = is.uid() == 0 || is.uid() == geteuid().as_raw();
    match is.is_dir() && owned && is.mode() & OF_OTHERS == 0 {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "its folder has to be root's own, with nobody else to write there (and no link): \
             install -d -m 755 -o root FOLDER",
        )),
    }
}

/// Of a predecessor.
fn remove_old_socket(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(is) if is.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "something else than a socket lies there; take it away or name another place",
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    fn listening(path: &Path) -> io::Result<Listening> {
        Listening::at(path, geteuid().as_raw())
    }

    fn kind(path: &Path) -> ErrorKind {
        listening(path).unwrap_err().kind()
    }

    #[test]
    fn it_takes_the_place_of_a_predecessor_and_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("power.sock");
        for _ in 0..2 {
            let socket = listening(&path).unwrap();
            let mode = fs::metadata(&path).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600);
            UnixStream::connect(&path).unwrap();
            drop(socket);
        }
    }

    #[test]
    fn what_is_no_socket_is_neither_removed_nor_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "kept").unwrap();
        symlink(path("file"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        let _other = listening(&path("socket")).unwrap();
        symlink(path("socket"), path("to-a-socket")).unwrap();
        for name in ["file", "link", "dangling", "to-a-socket"] {
            assert_eq!(kind(&path(name)), ErrorKind::AlreadyExists, "{name}");
        }
        assert_eq!(fs::read_to_string(path("link")).unwrap(), "kept");
        assert!(!path("nowhere").exists());
        UnixStream::connect(path("to-a-socket")).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run").join("power.sock");
        let run = path.parent().unwrap();
        fs::create_dir(run).unwrap();
        for mode in [0o777, 0o1777, 0o775] {
            fs::set_permissions(run, Permissions::from_mode(mode)).unwrap();
            assert_eq!(kind(&path), ErrorKind::PermissionDenied, "{mode:o}");
            assert!(!path.exists());
        }
        fs::set_permissions(run, Permissions::from_mode(0o755)).unwrap();
        symlink(run, folder.path().join("link")).unwrap();
        let through = folder.path().join("link/power.sock");
        assert_eq!(kind(&through), ErrorKind::PermissionDenied);
        drop(listening(&path).unwrap());
        if geteuid().is_root() {
            std::os::unix::fs::chown(run, Some(1), None).unwrap();
            assert_eq!(kind(&path), ErrorKind::PermissionDenied, "another user's");
        }
    }
}
