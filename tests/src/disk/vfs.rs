//! The shim between SQLite and its files: a VFS (<https://www.sqlite.org/vfs.html>) that hands
//! every call on to SQLite's own, and lets a [`Disk`](super::Disk) watch and break those on its
//! files.
//!
//! It is the default VFS of the process once it is registered, so whatever opens a database
//! goes through it without being told. Locks and the shared memory of the write-ahead log stay
//! SQLite's own; that is why this is no file system of its own making: those of the published
//! crates cannot share the write-ahead log between connections, which the store does.

#![expect(
    unsafe_code,
    reason = "SQLite calls a VFS through C function pointers and hands it memory to keep its file in"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use super::{Operation, Shared, Step, disk_of};

/// An open file: SQLite allocates `szOsFile` bytes, of which this is the head. The file of
/// SQLite's own VFS follows right behind it.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Null for a file on no disk of ours.
    watched: *mut Watched,
}

/// A file on one of our disks.
struct Watched {
    disk: Arc<Shared>,
    name: Arc<str>,
    /// Whether SQLite's own VFS would sync the folder with the file: once, for a journal or a
    /// write-ahead log that it has made.
    syncs_folder: AtomicBool,
    /// Whether a sync of the same file failed elsewhere, which the next sync here has to tell.
    has_failed: Arc<AtomicBool>,
}

const METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without memory mapping, which the store does not use either.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
static SHIM: sqlite3_io_methods = METHODS;

/// Puts the shim before SQLite's own VFS, once in a process.
pub(super) fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: the default VFS is there for as long as the process; a copy of it, with two
        // functions and the size of a file replaced, is as good as it is. The copy is leaked,
        // because SQLite keeps the pointer.
        let registered = unsafe {
            let own = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut shim = *own;
            shim.szOsFile += c_int::try_from(size_of::<File>()).expect("the head of a file is small");
            shim.zName = c"relay-disk".as_ptr();
            shim.pNext = std::ptr::null_mut();
            shim.pAppData = own.cast();
            shim.xOpen = Some(open);
            shim.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(shim)), 1)
        };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite takes the shim");
    });
}

/// The file of SQLite's own VFS behind ours.
const unsafe fn own_file(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `register` made room for both, one behind the other; the size of the head keeps
    // what follows aligned, since both are made of pointers.
    unsafe { file.byte_add(size_of::<File>()) }
}

/// What is watched of an open file.
const unsafe fn watched<'a>(file: *mut sqlite3_file) -> Option<&'a Watched> {
    // SAFETY: `open` set the pointer, and only `close` ends what it points to; SQLite uses a
    // file from one thread at a time, and not after it was closed.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

/// Defines functions that hand a call on, as it is.
macro_rules! hand_on {
    ($($name:ident is $method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) -> $answer {
            // SAFETY: the arguments are SQLite's, for a file that `open` has opened, and go to
            // the VFS that they are meant for.
            unsafe {
                let own = own_file(file);
                let method = (*(*own).pMethods).$method.expect("SQLite's own VFS has every method");
                method(own, $($argument),*)
            }
        }
    )*};
}

hand_on! {
    own_close is xClose() -> c_int;
    own_read is xRead(to: *mut c_void, amount: c_int, at: sqlite3_int64) -> c_int;
    own_write is xWrite(from: *const c_void, amount: c_int, at: sqlite3_int64) -> c_int;
    own_truncate is xTruncate(length: sqlite3_int64) -> c_int;
    own_sync is xSync(flags: c_int) -> c_int;
    file_size is xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock is xLock(level: c_int) -> c_int;
    unlock is xUnlock(level: c_int) -> c_int;
    check_reserved_lock is xCheckReservedLock(held: *mut c_int) -> c_int;
    file_control is xFileControl(what: c_int, argument: *mut c_void) -> c_int;
    sector_size is xSectorSize() -> c_int;
    device_characteristics is xDeviceCharacteristics() -> c_int;
    shm_map is xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int;
    shm_lock is xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier is xShmBarrier() -> ();
    shm_unmap is xShmUnmap(delete: c_int) -> c_int;
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: `name` is null or a C string; `file` has room for both heads; `pAppData` is the
    // own VFS, which gets its own pointer and its own part of the file.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let watched = watched_at(name, flags);
        let fault = watched
            .as_ref()
            .and_then(|watched| watched.disk.fault(Operation::Open, &watched.name));
        if let Some(fault) = fault {
            return fault;
        }
        let own = (*vfs).pAppData.cast::<sqlite3_vfs>();
        let open = (*own).xOpen.expect("SQLite's own VFS opens files");
        let opened = open(own, name, own_file(file), flags, flags_out);
        if opened == ffi::SQLITE_OK {
            (*file).pMethods = &raw const SHIM;
            let watched = watched.map_or(std::ptr::null_mut(), |watched| Box::into_raw(Box::new(watched)));
            (*file.cast::<File>()).watched = watched;
        }
        opened
    }
}

/// What to watch of a file of that name, if it is on a disk of ours.
unsafe fn watched_at(name: *const c_char, flags: c_int) -> Option<Watched> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite names files by C strings.
    let path = Path::new(unsafe { CStr::from_ptr(name) }.to_str().ok()?);
    let (disk, name) = disk_of(path)?;
    let is_journal = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
    Some(Watched {
        has_failed: disk.open(&name),
        disk,
        name,
        syncs_folder: AtomicBool::new(is_journal && !path.exists()),
    })
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: as in `open`.
    unsafe {
        let own = (*vfs).pAppData.cast::<sqlite3_vfs>();
        let delete = (*own).xDelete.expect("SQLite's own VFS deletes files");
        let deleted = delete(own, name, sync_folder);
        if deleted == ffi::SQLITE_OK
            && let Some(Watched { disk, name, .. }) = watched_at(name, 0)
        {
            disk.note(Step::Delete(Arc::clone(&name)));
            if sync_folder != 0 {
                disk.sync_folder();
            }
        }
        deleted
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: `open` made the box; SQLite closes a file once.
    unsafe {
        let watched = std::mem::replace(&mut (*file.cast::<File>()).watched, std::ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        own_close(file)
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    to: *mut c_void,
    amount: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: the arguments are SQLite's, handed on as they are.
    unsafe {
        let fault = watched(file).and_then(|on| on.disk.fault(Operation::Read, &on.name));
        fault.unwrap_or_else(|| own_read(file, to, amount, at))
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: the arguments are SQLite's, handed on as they are; `from` has `amount` bytes.
    unsafe {
        let Some(on) = watched(file) else {
            return own_write(file, from, amount, at);
        };
        if let Some(fault) = on.disk.fault(Operation::Write, &on.name) {
            return fault;
        }
        let written = own_write(file, from, amount, at);
        if written == ffi::SQLITE_OK {
            let length = usize::try_from(amount).expect("SQLite writes no negative number of bytes");
            on.disk.note(Step::Write {
                file: Arc::clone(&on.name),
                at: usize::try_from(at).expect("SQLite writes at no negative place"),
                bytes: std::slice::from_raw_parts(from.cast::<u8>(), length).into(),
            });
        }
        written
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    // SAFETY: the arguments are SQLite's, handed on as they are.
    unsafe {
        let truncated = own_truncate(file, length);
        if truncated == ffi::SQLITE_OK
            && let Some(on) = watched(file)
        {
            on.disk.note(Step::Truncate {
                file: Arc::clone(&on.name),
                length: usize::try_from(length).expect("SQLite cuts to no negative length"),
            });
        }
        truncated
    }
}

/// What is on a disk of ours is lost with the process anyway: its syncs are only taken down,
/// which makes thousands of them cheap.
unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the arguments are SQLite's, handed on as they are.
    unsafe {
        let Some(on) = watched(file) else {
            return own_sync(file, flags);
        };
        if let Some(fault) = on.disk.fault(Operation::Sync, &on.name) {
            on.has_failed.store(false, Ordering::Relaxed);
            on.disk.fail_sync(&on.name, &on.has_failed);
            return fault;
        }
        if on.has_failed.swap(false, Ordering::Relaxed) {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        if on.syncs_folder.swap(false, Ordering::Relaxed) {
            on.disk.sync_folder();
        }
        on.disk.sync(&on.name);
        ffi::SQLITE_OK
    }
}
