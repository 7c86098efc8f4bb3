//! A real PostgreSQL for the tests: one server a test process, an empty database a test.
//!
//! The server lives in a temporary directory and ends with the process, however that ends: a shell
//! waits for the end of a pipe that only this process holds open, then stops it and removes everything.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

const USER: &str = "callboard";
/// Another program may take the port between our look and the server's.
const STARTS: usize = 5;

/// Makes an empty database; gives its URL. It can be called from anywhere, and waits.
pub(crate) fn fresh() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("it_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let server = server();
    execute(&server.url("postgres"), &format!("CREATE DATABASE {name} TEMPLATE template0"));
    server.url(&name)
}

/// Runs one statement that gives no rows, outside of the store.
pub(crate) fn execute(url: &str, sql: &str) {
    // A thread of its own: whoever calls may be in a runtime, or in none.
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
                let mut connection = options.disable_statement_logging().connect().await.unwrap();
                connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
                connection.close().await.unwrap();
            });
        });
        done.join().unwrap();
    });
}

struct Server {
    port: u16,
    // Its standard input is what the shell waits for.
    _shell: Child,
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let programs = programs();
        let account = Account::to_run_as();
        let mut said = Vec::new();
        for _ in 0..STARTS {
            let home = account.private_directory();
            initialize(&programs, &account, &home);
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            match start(&programs, &account, &home, port) {
                Ok(shell) => return Server { port, _shell: shell },
                Err(lines) => said = lines,
            }
        }
        panic!("PostgreSQL does not start:\n{}", said.join("\n"));
    })
}

/// The directory with `initdb` and `postgres`.
fn programs() -> PathBuf {
    let of_variable = std::env::var("PG_BIN").ok().map(PathBuf::from);
    let path = std::env::var("PATH").unwrap_or_default();
    // Debian keeps them apart, by version; the newest is taken.
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> = installed.map(|entry| entry.path()).collect();
    installed.sort_by_key(|path| path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u32>().ok()));
    let of_debian = installed.into_iter().rev().map(|path| path.join("bin"));
    let mut places = of_variable.into_iter().chain(std::env::split_paths(&path)).chain(of_debian);
    places.find(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file())).expect(
        "these tests run on PostgreSQL too, and it is not installed: `apt-get install postgresql` on Debian, \
         or set PG_BIN to the directory of `initdb` and `postgres`",
    )
}

/// Whom the server runs as: it refuses to run as root.
struct Account(Option<(u32, u32)>);

impl Account {
    fn to_run_as() -> Self {
        let we_are_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        Self(we_are_root.then(|| {
            let accounts = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = accounts.lines().find(|line| line.starts_with("postgres:"));
            let line = line.expect("the tests run as root and there is no user `postgres` to run PostgreSQL as");
            let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
            (fields.next().unwrap(), fields.next().unwrap())
        }))
    }

    fn private_directory(&self) -> PathBuf {
        let path = tempfile::Builder::new().prefix("callboard-pg-").tempdir().unwrap().keep();
        if let Some((user, group)) = self.0 {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        path
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command.env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT").current_dir("/");
        command
    }
}

fn initialize(programs: &Path, account: &Account, home: &Path) {
    let done = account
        .command(programs.join("initdb"))
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        .arg(format!("--username={USER}"))
        .arg(home.join("data"))
        .output()
        .unwrap();
    assert!(done.status.success(), "initdb failed: {}", String::from_utf8_lossy(&done.stderr));
}

/// Stops the server when the pipe on standard input ends, and leaves nothing behind.
const SHELL: &str = r#"
exec 3<&0
"$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c fsync=on \
    -c max_connections=300 </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -INT "$server"; } 2>/dev/null &
reader=$!
wait "$server"
kill "$reader" 2>/dev/null
rm -rf "$2"
"#;

/// Gives the server once it takes connections, or what it said when it ended instead.
fn start(programs: &Path, account: &Account, home: &Path, port: u16) -> Result<Child, Vec<String>> {
    let mut shell = account
        .command("/bin/sh")
        .args([OsStr::new("-c"), OsStr::new(SHELL), OsStr::new("sh"), programs.as_os_str(), home.as_os_str()])
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // Its own group: an interrupt from the terminal is for the tests, and their end is its end.
        .process_group(0)
        .spawn()
        .unwrap();
    let lines = BufReader::new(shell.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Read to the end: a server whose log is not read stands still.
        lines.for_each(|line| drop(tell.send(line)));
    });
    let mut said = Vec::new();
    for line in told {
        if line.contains("database system is ready to accept connections") {
            return Ok(shell);
        }
        said.push(line);
    }
    shell.wait().unwrap();
    Err(said)
}

#[test]
fn each_test_has_an_empty_database_of_its_own() {
    let (first, second) = (fresh(), fresh());
    assert_ne!(first, second);
    execute(&first, "CREATE TABLE here (id bigint)");
    execute(&second, "CREATE TABLE here (id bigint)");
}
