//! An empty database of either kind for one test, and the way to look into it past the store.

use std::path::PathBuf;

use callboard::domain::secret::Secret;
use callboard::store::Store;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tempfile::TempDir;

use crate::postgres;

/// Which kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Db {
    Sqlite,
    Postgres,
}

/// One database; a file is removed with it.
pub(crate) struct Database {
    pub(crate) db: Db,
    /// As `database.url` has it.
    pub(crate) url: String,
    pub(crate) directory: TempDir,
}

/// A connection in a transaction, which ends with it.
#[expect(dead_code, reason = "held, and never looked into")]
pub(crate) enum Held {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Database {
    pub(crate) fn fresh(db: Db) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match db {
            Db::Sqlite => format!("sqlite:{}", directory.path().join("callboard.db").display()),
            Db::Postgres => postgres::fresh(),
        };
        Self { db, url, directory }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("callboard.db")
    }

    pub(crate) async fn store(&self) -> Store {
        match self.db {
            Db::Sqlite => Store::open_sqlite(&self.file()).await,
            Db::Postgres => Store::open_postgres(&Secret::new(self.url.as_str())).await,
        }
        .unwrap()
    }

    /// Runs a statement past the store; gives what the database says against it.
    pub(crate) async fn try_execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.db {
            Db::Sqlite => self.sqlite().await.execute(sql).await.map(drop),
            Db::Postgres => self.postgres().await.execute(sql).await.map(drop),
        }
    }

    /// Runs a statement past the store.
    pub(crate) async fn execute(&self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    /// The rows of a query whose columns are all text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<Vec<String>> {
        fn read<R: Row>(rows: Vec<R>) -> Vec<Vec<String>>
        where
            usize: sqlx::ColumnIndex<R>,
            for<'r> String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
        {
            rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
        }
        let sql = AssertSqlSafe(sql.to_owned());
        match self.db {
            Db::Sqlite => read(self.sqlite().await.fetch_all(sql).await.unwrap()),
            Db::Postgres => read(self.postgres().await.fetch_all(sql).await.unwrap()),
        }
    }

    /// The one number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.db {
            Db::Sqlite => self.sqlite().await.fetch_one(sql).await.unwrap().get(0),
            Db::Postgres => self.postgres().await.fetch_one(sql).await.unwrap().get(0),
        }
    }

    /// Keeps everybody else from writing, until what it gives is dropped.
    pub(crate) async fn hold(&self) -> Held {
        match self.db {
            Db::Sqlite => {
                let mut connection = self.sqlite().await;
                connection.execute("BEGIN IMMEDIATE").await.unwrap();
                Held::Sqlite(connection)
            }
            Db::Postgres => {
                let mut connection = self.postgres().await;
                connection.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.unwrap();
                Held::Postgres(connection)
            }
        }
    }

    async fn sqlite(&self) -> sqlx::SqliteConnection {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.file()).disable_statement_logging();
        sqlx::SqliteConnection::connect_with(&options).await.unwrap()
    }

    async fn postgres(&self) -> sqlx::PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.url.parse().unwrap();
        sqlx::PgConnection::connect_with(&options.disable_statement_logging()).await.unwrap()
    }
}
