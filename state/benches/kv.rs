//! Which key-value store under the state: fjall or redb?
//!
//! Accounts as the state stores them (20-byte random keys, 70-byte values), written in batches as a checkpoint would,
//! each batch one durable transaction, then read at random through a cache of bounded size. Run as
//! `make bench NAME=kv`, or with sizes: `cargo bench -p millrace-state --bench kv -- 1000000 10000000`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rand::{Rng, SeedableRng, rngs::StdRng};
use redb::{Database as Redb, ReadableDatabase, TableDefinition};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CACHE_BYTES: usize = 256 << 20;
const VALUE_BYTES: usize = 70;
const LOAD_BATCH: usize = 100_000;
const READS: usize = 500_000;
const SEED: u64 = 0x6d69_6c6c_7261_6365;

type Key = [u8; 20];

fn main() {
    let mut sizes: Vec<u64> =
        std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000_000, 10_000_000];
    }
    println!("seed {SEED:#x}, cache {} MiB, values {VALUE_BYTES} B", CACHE_BYTES >> 20);
    for accounts in sizes {
        bench::<Fjall>(accounts);
        bench::<RedbStore>(accounts);
    }
}

/// What the benchmark asks of a store.
trait Store: Sync {
    const NAME: &'static str;
    fn open(dir: &Path) -> Self;
    /// One atomic and durable batch, in the order of its keys.
    fn write(&self, batch: &[(Key, [u8; VALUE_BYTES])]);
    /// Reads all keys at one consistent state; gives how many exist.
    fn read(&self, keys: &[Key]) -> usize;
    /// Waits for background work that the writes left behind.
    fn settle(&self);
}

fn bench<S: Store>(accounts: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = S::open(dir.path());
    let name = S::NAME;

    let mut keys: Vec<Key> = (0..accounts).map(key).collect();
    keys.sort_unstable();
    let start = Instant::now();
    for chunk in keys.chunks(LOAD_BATCH) {
        let batch: Vec<_> = chunk
            .iter()
            .map(|key| (*key, value(u64::from_le_bytes(key[..8].try_into().unwrap()))))
            .collect();
        store.write(&batch);
    }
    let load_s = start.elapsed().as_secs_f64();
    store.settle();
    drop(keys);
    println!(
        "RESULT name=kv-load store={name} accounts={accounts} seconds={load_s:.1} disk_mib={}",
        disk_bytes(dir.path()) >> 20
    );

    for batch_len in [10_000usize, 100_000] {
        let mut rng = StdRng::seed_from_u64(SEED ^ batch_len as u64);
        let rounds = (1_000_000 / batch_len).clamp(10, 30);
        let mut times: Vec<Duration> = (0..rounds)
            .map(|_| {
                let mut batch: Vec<_> = (0..batch_len)
                    .map(|_| (key(rng.random_range(0..accounts)), value(rng.random())))
                    .collect();
                batch.sort_unstable_by_key(|(key, _)| *key);
                let start = Instant::now();
                store.write(&batch);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        println!(
            "RESULT name=kv-write store={name} accounts={accounts} batch={batch_len} p50_ms={:.1} max_ms={:.1} keys_per_s={:.0}",
            ms(times[times.len() / 2]),
            ms(times[times.len() - 1]),
            (batch_len * times.len()) as f64 / times.iter().sum::<Duration>().as_secs_f64()
        );
    }

    store.settle();
    for threads in [1u64, 2] {
        for (what, range) in [("present", 0..accounts), ("absent", accounts..2 * accounts)] {
            let expected = if what == "present" { READS } else { 0 };
            // The first round warms the cache as far as it reaches, the second counts.
            for counts in [false, true] {
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let (store, range) = (&store, range.clone());
                        scope.spawn(move || {
                            let mut rng =
                                StdRng::seed_from_u64(SEED + thread + u64::from(counts) * 8);
                            let keys: Vec<Key> =
                                (0..READS).map(|_| key(rng.random_range(range.clone()))).collect();
                            assert_eq!(store.read(&keys), expected, "every key is found, or none");
                        });
                    }
                });
                if counts {
                    let reads = READS as f64 * threads as f64;
                    println!(
                        "RESULT name=kv-read store={name} accounts={accounts} keys={what} threads={threads} reads_per_s={:.0} us_per_read={:.2}",
                        reads / start.elapsed().as_secs_f64(),
                        start.elapsed().as_secs_f64() * 1e6 * threads as f64 / reads
                    );
                }
            }
        }
    }
    read_beside_writes(&store, accounts);
    store.settle();
    println!(
        "RESULT name=kv-disk store={name} accounts={accounts} disk_mib={}",
        disk_bytes(dir.path()) >> 20
    );
}

/// What a checkpoint does to readers: the latency of single reads while batches of 100k are written back to back.
fn read_beside_writes<S: Store>(store: &S, accounts: u64) {
    let done = AtomicBool::new(false);
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rng = StdRng::seed_from_u64(SEED + 99);
            let mut latencies = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let key = key(rng.random_range(0..accounts));
                let start = Instant::now();
                assert_eq!(store.read(&[key]), 1);
                latencies.push(start.elapsed());
            }
            latencies
        });
        let mut rng = StdRng::seed_from_u64(SEED + 77);
        for _ in 0..10 {
            let mut batch: Vec<_> = (0..100_000)
                .map(|_| (key(rng.random_range(0..accounts)), value(rng.random())))
                .collect();
            batch.sort_unstable_by_key(|(key, _)| *key);
            store.write(&batch);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    latencies.sort_unstable();
    let at =
        |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000].as_secs_f64() * 1e6;
    println!(
        "RESULT name=kv-read-beside-writes store={} accounts={accounts} p50_us={:.1} p99_us={:.1} p999_us={:.1}",
        S::NAME,
        at(500),
        at(990),
        at(999)
    );
}

struct Fjall {
    database: Database,
    accounts: Keyspace,
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";

    fn open(dir: &Path) -> Self {
        let database = Database::builder(dir).cache_size(CACHE_BYTES as u64).open().unwrap();
        let accounts = database.keyspace("accounts", KeyspaceCreateOptions::default).unwrap();
        Self { database, accounts }
    }

    fn write(&self, items: &[(Key, [u8; VALUE_BYTES])]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in items {
            batch.insert(&self.accounts, key.as_slice(), value.as_slice());
        }
        batch.commit().unwrap();
    }

    fn read(&self, keys: &[Key]) -> usize {
        use fjall::Readable;
        let snapshot = self.database.snapshot();
        keys.iter().filter(|key| snapshot.get(&self.accounts, key).unwrap().is_some()).count()
    }

    fn settle(&self) {
        let mut quiet = 0;
        while quiet < 5 {
            std::thread::sleep(Duration::from_millis(100));
            let busy = self.database.active_compactions() + self.database.outstanding_flushes();
            quiet = if busy == 0 { quiet + 1 } else { 0 };
        }
    }
}

struct RedbStore(Redb);

const ACCOUNTS: TableDefinition<'_, &[u8; 20], &[u8]> = TableDefinition::new("accounts");

impl Store for RedbStore {
    const NAME: &'static str = "redb";

    fn open(dir: &Path) -> Self {
        let database =
            Redb::builder().set_cache_size(CACHE_BYTES).create(dir.join("accounts.redb")).unwrap();
        Self(database)
    }

    fn write(&self, items: &[(Key, [u8; VALUE_BYTES])]) {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut table = transaction.open_table(ACCOUNTS).unwrap();
            for (key, value) in items {
                table.insert(key, value.as_slice()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn read(&self, keys: &[Key]) -> usize {
        let transaction = self.0.begin_read().unwrap();
        let table = transaction.open_table(ACCOUNTS).unwrap();
        keys.iter().filter(|key| table.get(*key).unwrap().is_some()).count()
    }

    fn settle(&self) {}
}

/// The key of account `index`: as uniform as a hash.
fn key(index: u64) -> Key {
    let mut key = [0; 20];
    let mut state = index ^ SEED;
    for chunk in key.chunks_mut(8) {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes()[..chunk.len()]);
    }
    key
}

/// A value that compresses about as badly as an account does: a random hash, a random balance, a small nonce.
fn value(seed: u64) -> [u8; VALUE_BYTES] {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&(seed % 1000).to_le_bytes());
    value[8..28].copy_from_slice(&key(seed));
    value[28..48].copy_from_slice(&key(seed ^ 1));
    value
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}
