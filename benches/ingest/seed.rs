//! Rows in bulk, made by the database itself, in the shape in which the service writes them.

use std::path::Path;

use callboard::domain::secret::Secret;
use callboard::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor};

const MADE_AT_ONCE: i64 = 250_000;
/// When the first event was made: one a second from then on.
pub(crate) const FIRST_MS: i64 = 1_750_000_000_000;
/// The golden ratio's part of 10^16: its multiples are spread over all numbers of sixteen digits, and none comes twice.
const SPREAD: (u64, u64) = (61_803_398, 87_498_949);
const HALF: u64 = 100_000_000;
/// What notes that the statistics have all events in them, so that the service does not go over them first.
pub(crate) const COUNTED: &str =
    "UPDATE chores SET xact = (SELECT max(xact) FROM events), seq = (SELECT max(seq) FROM events)";

/// What differs between the rows of one bench and another, as SQL over the row's number `i`.
pub(crate) struct Shape {
    source: &'static str,
    ids_are_random: bool,
    has_callbacks: bool,
    destination: &'static str,
    /// Whether the deliveries are still to be made.
    is_pending: bool,
}

impl Shape {
    /// Five sources and three destinations.
    pub(crate) const LISTS: Self = Self {
        source: "'source-' || (i % 7 % 5)",
        ids_are_random: false,
        has_callbacks: false,
        destination: "'sink-' || (i % 3)",
        is_pending: false,
    };
    /// One source and one destination, whose deliveries are all to be made.
    pub(crate) const PENDING: Self =
        Self { source: "'evolink'", has_callbacks: true, destination: "'sink-0'", is_pending: true, ..Self::LISTS };

    /// One source and one destination, everything delivered, with task ids that grow or do not.
    pub(crate) const fn grown(ids_are_random: bool) -> Self {
        Self { ids_are_random, is_pending: false, ..Self::PENDING }
    }

    /// The statements that make a row of each table.
    fn inserts(&self) -> Vec<String> {
        let mut all = vec![TASKS.to_owned(), METADATA.to_owned(), EVENTS.to_owned()];
        let status = if self.is_pending {
            "'pending', at, 0, NULL"
        } else {
            "CASE WHEN i % 200 = 7 THEN 'dead' ELSE 'delivered' END, NULL, 1, at"
        };
        all.push(format!(
            "INSERT INTO deliveries (id, event_id, event_type, destination, replay_id, failures, attempts, created_at,
                status, due_at, lease, finished_at)
             SELECT 'dlv_' || id, 'evt_' || id, 'task.' || status, {}, '', 0, {}, at, {status} FROM made",
            self.destination,
            u8::from(!self.is_pending)
        ));
        all.extend(self.has_callbacks.then(|| CALLBACKS.to_owned()));
        all
    }
}

/// The number of sixteen digits of the task with this one, where ids do not grow.
pub(crate) fn spread(number: u64) -> u64 {
    let factor = u128::from(SPREAD.0) * u128::from(HALF) + u128::from(SPREAD.1);
    u64::try_from(u128::from(number) * factor % 10_u128.pow(16)).unwrap_or_default()
}

/// Ten characters of Crockford's base 32: the time of an id, in milliseconds.
fn time_in_sql(ms: &str) -> String {
    let digit = |shift: u32| {
        format!("substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', CAST((({ms}) >> {shift}) & 31 AS INTEGER) + 1, 1)")
    };
    (0..10).rev().map(|at| digit(at * 5)).collect::<Vec<_>>().join(" || ")
}

/// Each row's number is `i`.
fn rows(is_sqlite: bool, shape: &Shape, from: i64, to: i64) -> String {
    let numbers = if is_sqlite {
        format!("WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})")
    } else {
        format!("WITH n (i) AS (SELECT * FROM generate_series({from}::bigint, {to}::bigint - 1))")
    };
    let padded = |number: &str| {
        if is_sqlite { format!("printf('%016d', {number})") } else { format!("lpad(({number})::text, 16, '0')") }
    };
    let ((high, low), source) = (SPREAD, shape.source);
    // As one number: PostgreSQL would multiply two short ones as short ones.
    let whole = HALF * HALF;
    let spread = format!("((i * {high} % {HALF}) * {HALF} + i * {low}) % {whole}");
    let number = padded(if shape.ids_are_random { &spread } else { "i" });
    let (padded, fingerprint) = (padded("i"), if is_sqlite { "randomblob(32)" } else { "sha256(int8send(i))" });
    let time = time_in_sql(&format!("{FIRST_MS} + i * 1000"));
    format!(
        "{numbers}, made AS (SELECT i, {time} || {padded} AS id, {number} AS number, {FIRST_MS} + i * 1000 AS at,
             {source} AS source, {fingerprint} AS fingerprint,
             CASE WHEN i % 100 < 90 THEN 'completed' WHEN i % 100 < 97 THEN 'failed' ELSE 'cancelled' END AS status,
             CASE WHEN i % 5 = 0 THEN '{{\"campaign\":\"c' || (i / 5 % 40) || '\"}}' ELSE '{{}}' END AS metadata FROM n)"
    )
}

const TASKS: &str = "INSERT INTO tasks (key, source, task_id, provider, status, model, outputs, usage, observed_via, confirmed,
    metadata, metadata_origin, first_seen_at, updated_at, terminal_event)
    SELECT 'tsk_' || id, source, 'task-unified-1757169743-' || number, 'evolink', status, 'kling-o3-' || (i % 50),
        '[{\"url\":\"https://cdn.example.com/videos/' || number || '.mp4\",\"kind\":\"video\",\"expires_at\":null,\"archived_url\":null}]',
        '{\"credits\":27.0}', 'callback', 0, metadata, 0, at, at, 'evt_' || id FROM made";
const METADATA: &str = "INSERT INTO task_metadata (source, pair, key, task_id)
    SELECT source, '\"campaign\":\"c' || (i / 5 % 40) || '\"', 'tsk_' || id, 'task-unified-1757169743-' || number
    FROM made WHERE i % 5 = 0";
const EVENTS: &str = "INSERT INTO events (id, type, step, source, task_id, at, body)
    SELECT 'evt_' || id, 'task.' || status, 'terminal', source, 'task-unified-1757169743-' || number, at,
        '{\"id\":\"evt_' || id || '\",\"type\":\"task.' || status || '\",\"timestamp\":\"2026-11-21T02:00:00.123Z\",\"data\":{\"source\":\"'
        || source || '\",\"provider\":\"evolink\",\"task_id\":\"task-unified-1757169743-' || number || '\",\"status\":\"' || status
        || '\",\"model\":\"kling-o3\",\"progress\":100,\"outputs\":[{\"url\":\"https://cdn.example.com/videos/' || number
        || '.mp4\",\"kind\":\"video\",\"expires_at\":null,\"archived_url\":null}],\"error\":null,\"usage\":{\"credits\":27.0},'
        || '\"created_at\":null,\"completed_at\":null,\"observed_via\":\"callback\",\"confirmed\":false,\"metadata\":' || metadata || '}}'
    FROM made";
const CALLBACKS: &str = "INSERT INTO callbacks (id, source, task_id, fingerprint, outcome, trust, event_id, received_at, repeats,
    remote, query, headers, body)
    SELECT 'cb_' || id, source, 'task-unified-1757169743-' || number, fingerprint, 'accepted', 'unsigned', 'evt_' || id, at, 0,
        '127.0.0.1', '', '[[\"host\",\"bench\"],[\"content-length\",\"549\"],[\"content-type\",\"application/json\"]]',
        CAST('{\"created\":1757169743,\"id\":\"task-unified-1757169743-' || number || '\",\"model\":\"kling-o3-text-to-video\",'
        || '\"object\":\"video.generation.task\",\"progress\":100,\"results\":[\"https://cdn.example.com/videos/2025/09/06/'
        || '3f7c0a52-5a80-4c3e-9c57-0b6f3f1c2d4e/' || number || '.mp4?signature=0123456789abcdef0123456789abcdef0123456789abcdef'
        || '0123456789abcdef&expires=1757256143\"],\"status\":\"completed\",\"task_info\":{\"can_cancel\":false,'
        || '\"estimated_time\":180,\"video_duration\":5},\"type\":\"video\",\"usage\":{\"billing_rule\":\"per_second\",'
        || '\"credits_used\":27.0,\"user_group\":\"default\"}}' AS BLOB_TYPE)
    FROM made";

/// Makes so many events, with their tasks and deliveries, in a database that is migrated.
pub(crate) async fn seed(database: &str, url: &str, shape: &Shape, to: i64) {
    let statements = |from: i64| {
        let made = rows(database == "sqlite", shape, from, (from + MADE_AT_ONCE).min(to));
        let bytes = if database == "sqlite" { "BLOB" } else { "BYTEA" };
        shape.inserts().into_iter().map(move |insert| format!("{made} {}", insert.replace("BLOB_TYPE", bytes)))
    };
    for from in (0..to).step_by(usize::try_from(MADE_AT_ONCE).expect("a size")) {
        for sql in statements(from) {
            run(database, url, sql).await;
        }
    }
    settle(database, url).await;
}

/// Has everything written to the disk, so that nothing of the making is left to be done while something is measured.
async fn settle(database: &str, url: &str) {
    if database == "sqlite" {
        run(database, url, "PRAGMA wal_checkpoint(TRUNCATE)".into()).await;
        let file = std::fs::File::open(url.trim_start_matches("sqlite:")).expect("it is there");
        file.sync_all().expect("it is synced");
    } else {
        run(database, url, "VACUUM ANALYZE".into()).await;
        run(database, url, "CHECKPOINT".into()).await;
    }
}

/// Runs a statement, outside of the store.
pub(crate) async fn run(database: &str, url: &str, sql: String) {
    if database == "sqlite" {
        let file = url.trim_start_matches("sqlite:");
        let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite://{file}")).await.expect("it opens");
        connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000").await.expect("it is set");
        connection.execute(AssertSqlSafe(sql)).await.expect("it is made");
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("it opens");
        connection.execute("SET synchronous_commit = off").await.expect("it is set");
        connection.execute(AssertSqlSafe(sql)).await.expect("it is made");
    }
}

/// Opens and migrates a database.
pub(crate) async fn open(database: &str, url: &str) -> Store {
    let store = match database {
        "sqlite" => Store::open_sqlite(Path::new(url.trim_start_matches("sqlite:"))).await,
        _ => Store::open_postgres(&Secret::new(url)).await,
    };
    store.expect("it opens")
}
