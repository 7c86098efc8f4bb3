//! The relay as its users run it: what clients entrust to it outlives a kill, and shows itself nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::postgres;
use super::process::{KEY, Place, Service, TOKEN, end_of, steady_port};
use super::sink::{Reply, Sink};
use super::wire;

const CLIENTS_KEY: &str = "sk-only-the-client-has-this";
const CLIENTS_TOKEN: &str = "only-the-client-knows-this";

/// A provider that makes one task, which ends once `ended` says so; it takes the client's key only.
async fn provider(ended: &Arc<AtomicBool>) -> Sink {
    let ended = Arc::clone(ended);
    Sink::scripted(move |request| {
        if request.header("authorization") != Some(&format!("Bearer {CLIENTS_KEY}")) {
            return Reply::status(401);
        }
        let status = if ended.load(Ordering::SeqCst) { "completed" } else { "processing" };
        let task = json!({"id": "task-1", "status": status, "results": ["https://example.com/a.mp4"]});
        Reply::Answer(200, "content-type: application/json\r\n".into(), task.to_string().into_bytes())
    })
    .await
}

fn place(provider: &Sink) -> Place {
    Place::with(&format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\nadmin_key = \"{KEY}\"\npublic_url = \"https://hooks.example.com\"\n\
         [sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\nbase_url = \"http://{}\"\n\
         poll = {{ after = \"100ms\", every = \"100ms\" }}\n[egress]\nallow = [\"127.0.0.0/8\"]\n",
        steady_port(),
        provider.host()
    ))
}

fn serve(place: &Place) -> Service {
    place.serve_with(&[("CALLBOARD_LOG", "trace")])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_key_outlives_a_kill_and_shows_itself_nowhere() {
    let ended = Arc::new(AtomicBool::new(false));
    let (provider, client) = (provider(&ended).await, Sink::start().await);
    let place = place(&provider);
    let service = serve(&place);
    let url = format!("{}/relay/evolink/v1/videos/generations", service.url);
    let authorization = format!("Bearer {CLIENTS_KEY}");
    let callback_url = format!("{}?token={CLIENTS_TOKEN}", client.url());
    let body = json!({"model": "m", "callback_url": callback_url}).to_string();
    let headers = [("X-Callboard-Key", KEY), ("Authorization", authorization.as_str())];
    let made = wire::request("POST", &url, &headers, body.as_bytes()).unwrap();
    assert_eq!(made.header("x-callboard-task"), Some("task-1"));
    let mut logs = vec![service.err.clone()];
    service.kill();

    ended.store(true, Ordering::SeqCst);
    let service = serve(&place);
    service.said(" task.completed  evolink  ");
    client.wait_for(1).await;
    assert_eq!(client.requests()[0].json()["status"], "completed");
    logs.push(service.err.clone());
    service.stop();
    assert!(provider.requests().iter().all(|request| request.header("authorization").is_some()));

    let lines: Vec<String> = logs.iter().flat_map(|log| log.all()).collect();
    assert!(lines.iter().any(|line| line.contains("delivery attempted")), "it is logged at all");
    for secret in [CLIENTS_KEY, CLIENTS_TOKEN, KEY, TOKEN] {
        assert_eq!(lines.iter().find(|line| line.contains(secret)), None, "{secret}");
    }
    for file in std::fs::read_dir(place.path(".")).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(CLIENTS_KEY.len()).any(|window| window == CLIENTS_KEY.as_bytes());
        assert!(!found, "the key is in {}", file.display());
    }
}

#[test]
fn with_postgresql_alone_the_keys_of_clients_are_forgotten_and_that_is_said() {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (variables, is_said) in [(&[][..], true), (&[("CALLBOARD_SECRETS_KEY", key)][..], false)] {
        let place = Place::with(&format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\nadmin_key = \"{KEY}\"\n[database]\nurl = \"{}\"\n",
            steady_port(),
            postgres::fresh()
        ));
        let service = place.serve_with(variables);
        service.said("Nobody is told yet");
        let said = service.out.all().iter().any(|line| line.contains("the keys of clients that relay are forgotten"));
        assert_eq!(said, is_said);
        assert!(!place.path("callboard.secrets").exists());
        service.stop();
    }
    let place = Place::with(&format!("[server]\nlisten = \"127.0.0.1:{}\"\n", steady_port()));
    let mut check = place.command(&["check"]);
    check.env("CALLBOARD_SECRETS_KEY", "too-short");
    let refused = end_of(check);
    assert!(refused.code != Some(0) && refused.err.contains("CALLBOARD_SECRETS_KEY"), "{refused:?}");
    assert!(!refused.err.contains("too-short"));
}
