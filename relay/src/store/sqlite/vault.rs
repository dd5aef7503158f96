//! The data keys, opened once, and what is sealed with them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, params};

use super::failure::Failure;
use super::{Error, beside, folder_of};
use crate::model::id::TenantId;
use crate::model::secret::Secret;
use crate::store::seal::{self, KEY_BYTES, Key, MasterId, MasterKey};

/// What sealed bytes begin with; messages in the clear began with 1.
const SEALED: u8 = 2;
/// By so much a sealed value is longer than its text: the byte above, the data key's id, and
/// what the cipher adds.
pub(super) const OVERHEAD_BYTES: usize = 1 + size_of::<u32>() + seal::OVERHEAD_BYTES;
/// What a sealed data key is bound to, with its id and tenant.
const DATA_KEY: &str = "data_keys.sealed";

/// Where a sealed value stands; it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tenant: TenantId,
    /// Table and column.
    pub(super) column: &'static str,
    /// What tells its row from the others.
    pub(super) row: &'a [u8],
}

impl Place<'_> {
    /// Unambiguous: no column has a zero in its name, and the tenant has a fixed length.
    fn bytes(&self) -> Vec<u8> {
        let tenant = self.tenant.raw().to_le_bytes();
        [b"relay\0", self.column.as_bytes(), b"\0", &tenant, self.row].concat()
    }
}

/// What a tenant's values are sealed with.
pub(super) struct DataKey {
    id: u32,
    tenant: TenantId,
    bytes: [u8; KEY_BYTES],
    key: Key,
}

impl DataKey {
    fn new(id: u32, tenant: TenantId, bytes: [u8; KEY_BYTES]) -> Self {
        Self {
            id,
            tenant,
            key: Key::new(&bytes),
            bytes,
        }
    }

    /// Whose key it is.
    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Seals a value of this key's tenant.
    pub(super) fn seal(&self, column: &'static str, row: &[u8], plain: &[u8]) -> Vec<u8> {
        let place = Place {
            tenant: self.tenant,
            column,
            row,
        };
        let mut bytes = vec![SEALED];
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.key.seal(&place.bytes(), plain));
        bytes
    }

    fn row(id: u32) -> [u8; 4] {
        id.to_le_bytes()
    }

    fn sealed_with(&self, master: &MasterKey) -> Vec<u8> {
        let place = Place {
            tenant: self.tenant,
            column: DATA_KEY,
            row: &Self::row(self.id),
        };
        master.key().seal(&place.bytes(), &self.bytes)
    }
}

/// The keys of a store.
pub(super) struct Vault {
    /// What the data keys may be sealed with: the master key in use, and behind it those that
    /// the store is just being sealed with. The table says of each data key which one it is.
    masters: Mutex<Vec<Arc<MasterKey>>>,
    keys: RwLock<HashMap<u32, Arc<DataKey>>>,
    /// The master key that the relay made for itself, beside the database.
    own: PathBuf,
}

impl Vault {
    /// Opens the data keys of a database with the `given` master keys, and seals with the
    /// first of them what is sealed with another. Without any, the relay has one of its own,
    /// in a file beside the database.
    pub(super) fn open(
        connection: &mut Connection,
        path: &Path,
        given: &[Arc<MasterKey>],
    ) -> Result<Self, Error> {
        let own = beside(path, ".master-key");
        let rows = rows(connection)?;
        let masters = masters(given, &own, rows.is_empty())?;
        let mut keys = HashMap::new();
        for row in &rows {
            let master = masters.iter().find(|master| master.id() == row.master);
            let master = master.ok_or_else(|| Error::Sealed {
                master: hex::encode(row.master),
                remedy: remedy(&own),
            })?;
            keys.insert(row.id, Arc::new(row.open(master)?));
        }
        let [master, ..] = masters.as_slice() else {
            return Err(Error::Unavailable("there is no master key".to_owned()));
        };
        let master = Arc::clone(master);
        let vault = Self {
            masters: Mutex::new(masters),
            keys: RwLock::new(keys),
            own,
        };
        let transaction = connection.transaction().map_err(Failure::from)?;
        let is_sealed_with_it = |row: &Row| row.master == master.id();
        if !rows.iter().all(is_sealed_with_it) {
            vault.seal_keys(&transaction, &master)?;
        }
        let usual = vault.make(&transaction, TenantId::DEFAULT)?;
        transaction.commit().map_err(Failure::from)?;
        vault.use_master(master);
        vault.keep(usual);
        if !given.is_empty() && vault.own.exists() {
            tracing::info!(
                file = %vault.own.display(),
                "this master key is not in use any more: delete it once no older copy of the store needs it"
            );
        }
        Ok(vault)
    }

    /// The key of a tenant, once it is durable.
    pub(super) fn key(&self, tenant: TenantId) -> Option<Arc<DataKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().find(|key| key.tenant == tenant).cloned()
    }

    /// The key of a tenant, made if it has none. Not to be used before it is durable, and then
    /// to be [kept](Self::keep).
    pub(super) fn make(&self, connection: &Connection, tenant: TenantId) -> Result<DataKey, Failure> {
        let rows = rows(connection)?;
        if let Some(row) = rows.iter().find(|row| row.tenant == tenant) {
            return self.open_row(row);
        }
        // As the others are, in this very transaction: the store may just have been sealed anew.
        let master = match rows.first() {
            Some(row) => self.known(row)?,
            None => self.master(),
        };
        let sql = "INSERT INTO data_keys (id, tenant, master, sealed)
                   SELECT coalesce(max(id), 0) + 1, ?1, ?2, x'' FROM data_keys RETURNING id";
        let made = params![tenant.raw(), master.id()];
        let id = connection.prepare(sql)?.query_one(made, |row| row.get(0))?;
        let key = DataKey::new(id, tenant, seal::random());
        let sealed = params![id, key.sealed_with(&master)];
        connection.execute("UPDATE data_keys SET sealed = ?2 WHERE id = ?1", sealed)?;
        Ok(key)
    }

    /// Lets a key that is durable be used.
    pub(super) fn keep(&self, key: DataKey) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.entry(key.id).or_insert_with(|| Arc::new(key));
    }

    /// Opens a value.
    pub(super) fn unseal(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
        let opened = || {
            let (version, rest) = sealed.split_first()?;
            let (id, rest) = rest.split_first_chunk::<4>()?;
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let key = keys.get(&u32::from_le_bytes(*id)).map(Arc::clone)?;
            drop(keys);
            (*version == SEALED)
                .then(|| key.key.open(&place.bytes(), rest))
                .flatten()
        };
        opened().ok_or_else(|| {
            Failure::Corrupt(format!(
                "a sealed value of {} does not open: it is not what was stored there",
                place.column
            ))
        })
    }

    /// The master key to seal with: the first of those given, or the relay's own.
    pub(super) fn first_of(&self, given: &[Arc<MasterKey>]) -> Result<Arc<MasterKey>, Error> {
        let masters = masters(given, &self.own, true)?;
        let first = masters.into_iter().next();
        first.ok_or_else(|| Error::Unavailable("there is no master key".to_owned()))
    }

    /// Seals all data keys with another master key, which was [expected](Self::expect). They are
    /// taken from the table: one that was made a moment ago may not be kept yet.
    pub(super) fn seal_keys(&self, connection: &Connection, master: &MasterKey) -> Result<(), Failure> {
        let sql = "UPDATE data_keys SET master = ?2, sealed = ?3 WHERE id = ?1";
        let mut statement = connection.prepare(sql)?;
        for row in rows(connection)? {
            let key = self.open_row(&row)?;
            statement.execute(params![key.id, master.id(), key.sealed_with(master)])?;
        }
        Ok(())
    }

    /// Makes ready for data keys that are sealed with another master key. The transaction that
    /// does it may be undone, or done without a word getting back: until then both are known.
    pub(super) fn expect(&self, master: Arc<MasterKey>) {
        self.lock_masters().push(master);
    }

    /// Forgets all others, once the data keys are sealed with this one.
    pub(super) fn use_master(&self, master: Arc<MasterKey>) {
        *self.lock_masters() = vec![master];
    }

    /// What data keys are sealed with.
    pub(super) fn master(&self) -> Arc<MasterKey> {
        let masters = self.lock_masters();
        Arc::clone(masters.first().expect("there is always one in use"))
    }

    fn open_row(&self, row: &Row) -> Result<DataKey, Failure> {
        row.open(self.known(row)?.as_ref())
    }

    /// The master key that a data key is sealed with.
    fn known(&self, row: &Row) -> Result<Arc<MasterKey>, Failure> {
        let masters = self.lock_masters();
        let found = masters.iter().find(|master| master.id() == row.master);
        found.cloned().ok_or_else(|| {
            let id = hex::encode(row.master);
            Failure::Corrupt(format!(
                "data key {} is sealed with another master key, {id}",
                row.id
            ))
        })
    }

    fn lock_masters(&self) -> MutexGuard<'_, Vec<Arc<MasterKey>>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether bytes are sealed.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SEALED)
}

/// A data key as it is stored.
struct Row {
    id: u32,
    tenant: TenantId,
    master: MasterId,
    sealed: Vec<u8>,
}

impl Row {
    /// Opens it with the master key that it names.
    fn open(&self, master: &MasterKey) -> Result<DataKey, Failure> {
        let place = Place {
            tenant: self.tenant,
            column: DATA_KEY,
            row: &DataKey::row(self.id),
        };
        let bytes = master.key().open(&place.bytes(), &self.sealed);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        let damaged = || Failure::Corrupt(format!("data key {} is damaged; restore from a backup", self.id));
        Ok(DataKey::new(self.id, self.tenant, bytes.ok_or_else(damaged)?))
    }
}

fn rows(connection: &Connection) -> Result<Vec<Row>, Failure> {
    let mut statement = connection.prepare("SELECT id, tenant, master, sealed FROM data_keys")?;
    let rows = statement.query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            tenant: TenantId::from_raw(row.get(1)?),
            master: row.get(2)?,
            sealed: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The keys given, and behind them the relay's own, if it has one. Without any, one is made,
/// but only if nothing is sealed yet.
fn masters(given: &[Arc<MasterKey>], own: &Path, may_make: bool) -> Result<Vec<Arc<MasterKey>>, Error> {
    let mut masters = given.to_vec();
    match fs::read_to_string(own) {
        Ok(text) => {
            let key = MasterKey::parse(&Secret::new(text))
                .map_err(|weak| Error::Unavailable(format!("the master key in {} {weak}", own.display())))?;
            masters.push(Arc::new(key));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Error::Unavailable(format!(
                "cannot read {}: {error}",
                own.display()
            )));
        }
    }
    if masters.is_empty() && may_make {
        let (key, text) = MasterKey::generate();
        write_own(own, &text)
            .map_err(|error| Error::Unavailable(format!("cannot write {}: {error}", own.display())))?;
        tracing::info!(
            file = %own.display(),
            "made a master key that secrets in the store are sealed with; back it up apart from the store"
        );
        masters.push(Arc::new(key));
    }
    Ok(masters)
}

/// For its owner's eyes alone, and on the disk before anything is sealed with it: what is
/// sealed with a key that is lost is lost.
fn write_own(path: &Path, text: &Secret) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let draft = path.with_extension("draft");
    // One that a crash left half written.
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    let mut file = options.open(&draft)?;
    file.write_all(text.reveal().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder_of(path))?.sync_all()
}

fn remedy(own: &Path) -> String {
    format!(
        "add that key to store.master_key, behind the one in use, or put its file back at {}",
        own.display()
    )
}
