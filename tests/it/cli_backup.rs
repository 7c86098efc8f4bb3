//! A copy of a database in use, and its way back.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::process::{Place, Ran, end_of, evolink};
use super::record::Record;
use super::wire;

const ANY_PORT: (&str, &str) = ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0");

const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const WRONG: Option<i32> = Some(2);

fn tasks_of(events: &[serde_json::Value]) -> BTreeSet<String> {
    events.iter().map(|event| event["data"]["task_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_copy_under_load_has_all_that_was_answered_before_it_and_is_served_again() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    let (answered, enough) = (Record::<String>::default(), Arc::new(AtomicBool::new(false)));
    let url = service.callback_url("evolink");
    let posting = std::thread::spawn({
        let (answered, enough) = (answered.clone(), Arc::clone(&enough));
        move || {
            for number in 0.. {
                if enough.load(Ordering::Relaxed) {
                    return;
                }
                let task = format!("task-{number}");
                assert_eq!(wire::post(&url, &evolink(&task)).status(), 200);
                answered.push(task);
            }
        }
    });
    answered.until_len(200);
    let before = answered.all();
    let Ran { code, out, err } = place.run(&["backup", "copy.db"]);
    let during = answered.len();
    answered.until_len(during + 20);
    enough.store(true, Ordering::Relaxed);
    posting.join().unwrap();
    assert_eq!(code, DONE, "{err}");
    assert!(out.starts_with("copy.db: ") && out.contains("callboard.secrets"), "{out}");
    let mode = std::fs::metadata(place.path("copy.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(during > before.len(), "nothing was written while it was copied: this shows nothing");
    let original = service.list("/events");
    service.stop();

    let other = Place::new();
    std::fs::copy(place.path("copy.db"), other.path("copy.db")).unwrap();
    let Ran { code, out, err } = other.run(&["restore", "copy.db"]);
    assert_eq!(code, DONE, "{err}");
    assert!(out.contains("callboard.secrets") && out.contains("new administrator's key"), "{out}");
    assert_eq!(std::fs::metadata(other.path("callboard.db")).unwrap().permissions().mode() & 0o777, 0o600);
    // Its secrets are sealed with the key that is not in it.
    other.write("callboard.secrets", place.read("callboard.secrets"));
    let service = other.serve_with(&[ANY_PORT]);
    let restored = service.list("/events");
    let (tasks, all) = (tasks_of(&restored), tasks_of(&original));
    assert!(before.iter().all(|task| tasks.contains(task)), "some that was answered before is missing");
    assert!(tasks.is_subset(&all) && tasks.len() < all.len(), "{} of {}", tasks.len(), all.len());
    // The very bytes, in the same order.
    assert_eq!(restored, original[original.len() - restored.len()..]);
    assert_eq!(service.post("evolink", &evolink("afterwards")).status(), 200);
    service.stop();
}

#[test]
fn nothing_is_overwritten_and_nothing_half_made_is_left() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    service.post("evolink", &evolink("task-1"));
    assert_eq!(place.run(&["backup", "copy.db"]).code, DONE);
    let copied = std::fs::read(place.path("copy.db")).unwrap();
    let names = || -> BTreeSet<String> {
        std::fs::read_dir(place.path("."))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let there = names();
    for (arguments, expected, words) in [
        (&["backup", "copy.db"], WRONG, "copy.db is there already"),
        (&["backup", "nowhere/copy.db"], FAILED, "nothing can be written beside nowhere/copy.db"),
        (&["restore", "copy.db"], FAILED, "another `callboard serve` uses this database"),
        (&["restore", "nowhere.db"], WRONG, "there is no file nowhere.db"),
    ] {
        let Ran { code, out, err } = place.run(arguments);
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {err}");
        assert!(err.contains(words), "{arguments:?}: {err}");
    }
    assert_eq!((std::fs::read(place.path("copy.db")).unwrap(), names()), (copied, there));
    service.stop();
    let Ran { code, err, .. } = place.run(&["restore", "copy.db"]);
    assert_eq!(code, FAILED);
    assert!(err.contains("callboard.db is there") && err.contains("nothing is overwritten"), "{err}");
    std::fs::remove_file(place.path("callboard.db")).unwrap();
    place.write("callboard.db-wal", "of another database");
    let Ran { code, err, .. } = place.run(&["restore", "copy.db"]);
    assert_eq!(code, FAILED);
    assert!(err.contains("callboard.db-wal is there"), "{err}");
}

#[test]
fn what_is_no_whole_copy_of_ours_is_not_restored() {
    let place = Place::new();
    let service = place.serve_with(&[ANY_PORT]);
    service.post("evolink", &evolink("task-1"));
    assert_eq!(place.run(&["backup", "copy.db"]).code, DONE);
    service.stop();
    let whole = std::fs::read(place.path("copy.db")).unwrap();
    let other = Place::new();
    other.write("cut.db", &whole[..whole.len() / 2]);
    other.write("text.db", "this is no database");
    other.write("empty.db", "");
    other.write("newer.db", &whole);
    // What a later version would have left there.
    runtime().block_on(async {
        let mut newer = connect(&other.path("newer.db")).await;
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (9999, 'later', 1, x'00', 0)";
        sqlx::query(sql).execute(&mut newer).await.unwrap();
        sqlx::Connection::close(newer).await.unwrap();
    });
    for (name, words) in [
        ("cut.db", "cut.db is not restored: the copy is damaged"),
        ("text.db", "text.db is not restored: the copy is damaged"),
        ("empty.db", "empty.db is not restored: it is a SQLite database, but not one of Callboard"),
        ("newer.db", "newer.db was made by a newer Callboard (its schema is 9999)"),
    ] {
        let Ran { code, err, .. } = other.run(&["restore", name]);
        assert_eq!(code, FAILED, "{name}: {err}");
        assert!(err.contains(words), "{name}: {err}");
        assert!(!other.path("callboard.db").exists(), "{name}");
    }
    other.write("whole.db", &whole);
    assert_eq!(other.run(&["restore", "whole.db"]).code, DONE);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(path: &std::path::Path) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

#[test]
fn postgresql_has_its_own_tools() {
    let place = Place::with("[database]\nurl = \"postgres://callboard@127.0.0.1:1/callboard\"\n");
    for (arguments, tool) in [(["backup", "copy.db"], "pg_dump"), (["restore", "copy.db"], "pg_restore")] {
        let Ran { code, err, .. } = end_of(place.command(&arguments));
        assert_eq!(code, WRONG);
        assert!(err.contains(tool), "{err}");
    }
    assert_eq!(Place::new().run(&["backup", "copy.db"]).code, WRONG, "there is no database yet");
}
