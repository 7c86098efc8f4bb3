//! A raw writer loop: the bare handler, which hands the rows that Callboard would write to one writer, and answers when
//! they are committed and synced. The writer takes all that is queued into one transaction.
//!
//! It knows nothing of tasks that are there already, of rules, keys or limits. On SQLite it has one statement a table,
//! prepared once, and `synchronous=FULL`; on PostgreSQL one statement a batch, by `UNNEST`, with `synchronous_commit=on`.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use actix_web::{App as Actix, HttpResponse, HttpServer, web};
use callboard::domain::clock::{Clock, SystemClock};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres};
use tokio::sync::{mpsc, oneshot};

use crate::asked::Database;
use crate::bare::{Callback, WORKERS};
use crate::model::{Bound, Kind, Model, RowSet, Table};

/// So many callbacks are one transaction at most: more than there are connections.
const BATCH_MAX: usize = 1024;
/// The settings of Callboard's own connection, but for the sync, which is SQLite's here.
const SQLITE_SETTINGS: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 8000;
    PRAGMA cache_size = -16000; PRAGMA journal_size_limit = 67108864";

struct Queued {
    rows: RowSet,
    committed: oneshot::Sender<()>,
}

type Inbox = mpsc::UnboundedReceiver<Queued>;

/// Starts it over a new database, for callbacks that Callboard would take with these settings.
pub(crate) async fn start(database: Database, directory: &Path, settings: &str) -> SocketAddr {
    let url = database.fresh(directory);
    let model = Arc::new(Model::of(database, &url, directory, settings).await);
    let (queue, inbox) = mpsc::unbounded_channel();
    match database {
        Database::Sqlite => {
            let (file, model) = (url.trim_start_matches("sqlite:").to_owned(), Arc::clone(&model));
            std::thread::spawn(move || write_sqlite(&file, &model.tables, inbox));
        }
        Database::Postgres => drop(tokio::spawn(write_postgres(url, Arc::clone(&model), inbox))),
    }
    serve(model, queue)
}

fn serve(model: Arc<Model>, queue: mpsc::UnboundedSender<Queued>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = HttpServer::new(move || {
        let (model, queue) = (Arc::clone(&model), queue.clone());
        let take = move |body: web::Bytes| {
            let (model, queue) = (Arc::clone(&model), queue.clone());
            async move {
                let Some(callback) = Callback::read(&body) else { return HttpResponse::UnprocessableEntity().finish() };
                let (committed, answer) = oneshot::channel();
                let rows = model.rows(&callback.id, SystemClock.now());
                let queued = queue.send(Queued { rows, committed }).is_ok();
                if queued && answer.await.is_ok() {
                    callback.answer()
                } else {
                    HttpResponse::ServiceUnavailable().finish()
                }
            }
        };
        Actix::new().route("/callbacks/{source}/{token}", web::post().to(take))
    })
    .workers(WORKERS)
    .listen(listener)
    .expect("it listens");
    tokio::spawn(server.run());
    address
}

fn batch(inbox: &mut Inbox, first: Queued) -> Vec<Queued> {
    let mut all = vec![first];
    while let Some(next) = (all.len() < BATCH_MAX).then(|| inbox.try_recv().ok()).flatten() {
        all.push(next);
    }
    all
}

fn answer(batch: Vec<Queued>) {
    for queued in batch {
        // Whoever gave up waiting needs no answer.
        let _ = queued.committed.send(());
    }
}

impl ToSql for Bound {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

fn write_sqlite(file: &str, tables: &[Table], mut inbox: Inbox) {
    let connection = rusqlite::Connection::open(file).expect("it opens");
    connection.execute_batch(SQLITE_SETTINGS).expect("it is set");
    let prepared = tables.iter().map(|table| {
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({places})", table.name, names(table));
        connection.prepare(&sql).expect("a table")
    });
    let mut statements: Vec<_> = prepared.collect();
    let mut begin = connection.prepare("BEGIN IMMEDIATE").expect("a statement");
    let mut commit = connection.prepare("COMMIT").expect("a statement");
    while let Some(first) = inbox.blocking_recv() {
        let batch = batch(&mut inbox, first);
        begin.execute([]).expect("it begins");
        for (at, statement) in statements.iter_mut().enumerate() {
            for queued in &batch {
                for (place, value) in queued.rows[at].iter().enumerate() {
                    statement.raw_bind_parameter(place + 1, value).expect("it is bound");
                }
                statement.raw_execute().expect("it is written");
            }
        }
        commit.execute([]).expect("it commits");
        answer(batch);
    }
}

/// One statement that writes the rows of all tables.
fn postgres_statement(tables: &[Table]) -> String {
    let mut place = 0;
    let inserts = tables.iter().map(|table| {
        let arrays = table.columns.iter().map(|(_, kind)| {
            place += 1;
            let kind = match kind {
                Kind::Number => "bigint",
                Kind::Text => "text",
                Kind::Bytes => "bytea",
            };
            format!("${place}::{kind}[]")
        });
        let arrays = arrays.collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} ({}) SELECT * FROM UNNEST({arrays})", table.name, names(table))
    });
    let mut inserts: Vec<String> = inserts.collect();
    let last = inserts.pop().unwrap_or_default();
    if inserts.is_empty() {
        return last;
    }
    let first = inserts.into_iter().enumerate().map(|(at, insert)| format!("w{at} AS ({insert})"));
    format!("WITH {} {last}", first.collect::<Vec<_>>().join(", "))
}

fn bind_column<'q>(
    query: Query<'q, Postgres, PgArguments>,
    kind: Kind,
    column: impl Iterator<Item = &'q Bound>,
) -> Query<'q, Postgres, PgArguments> {
    match kind {
        Kind::Number => query.bind(
            column
                .filter_map(|one| if let Bound::Number(number) = one { Some(*number) } else { None })
                .collect::<Vec<_>>(),
        ),
        Kind::Text => query.bind(
            column
                .filter_map(|one| if let Bound::Text(text) = one { Some(text.as_str()) } else { None })
                .collect::<Vec<_>>(),
        ),
        Kind::Bytes => query.bind(
            column
                .filter_map(|one| if let Bound::Bytes(bytes) = one { Some(bytes.as_slice()) } else { None })
                .collect::<Vec<_>>(),
        ),
    }
}

async fn write_postgres(url: String, model: Arc<Model>, mut inbox: Inbox) {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let options = options.options([("synchronous_commit", "on")]).disable_statement_logging();
    let mut connection = PgConnection::connect_with(&options).await.expect("it opens");
    let sql: Arc<str> = postgres_statement(&model.tables).into();
    while let Some(first) = inbox.recv().await {
        let batch = batch(&mut inbox, first);
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&sql)));
        for (at, table) in model.tables.iter().enumerate() {
            for (place, (_, kind)) in table.columns.iter().enumerate() {
                query = bind_column(query, *kind, batch.iter().map(|queued| &queued.rows[at][place]));
            }
        }
        query.execute(&mut connection).await.expect("it is written");
        answer(batch);
    }
}
