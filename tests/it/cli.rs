//! The commands, as a person and a script use them: what they say, and their exit codes.

use super::endpoint::{Reply, Sink};
use super::process::{KEY, Place, Ran, TOKEN, body_of, end_of, evolink, steady_port};
use super::signed::SECRET;
use super::wire;

const DONE: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const WRONG: Option<i32> = Some(2);

/// Every line of it that has a mistake says so at its end.
const MISTAKEN: &str = r#"
[server]
lisen = "127.0.0.1:0"                    #! server.lisen: unknown key; did you mean `listen`?
max_body = "a lot"                       #! server.max_body: `a lot` is not a size
public_url = "hooks.example.com"         #! server.public_url: `hooks.example.com` is not a URL
[database]
url = "mysql://root:hunter2secret@db/x"  #! database.url: it begins neither with `sqlite:` nor with `postgres://`
[sources.evolink]
provider = "evolnk"                      #! sources.evolink.provider: there is no provider `evolnk`; did you mean `evolink`?
callback_token = "short"                 #! sources.evolink.callback_token: it is part of a URL
[sources.replicate]
provider = "replicate"
signing_secret = "${NOT_SET}"            #! sources.replicate.signing_secret: the variable `NOT_SET` is not set
confirm = "always"                       #! sources.replicate.confirm: `always` tells nothing that the provider has not confirmed
poll = { evry = "1m" }                   #! sources.replicate.poll.evry: unknown key; did you mean `every`?
[destinations.ads]
team = "ads"
channel = "slak"                         #! destinations.ads.channel: there is no channel `slak`; did you mean `slack`?
[[subscriptions]]
destination = "adz"                      #! destination: there is no destination `adz` in the file; did you mean `ads`?
events = ["task.complete"]               #! events: there is no event type `task.complete`; did you mean `task.completed`?
[[subscriptions]]
destination = "ads"
where = 'task.model.startsWith('         #! where: line 1, column 23
[delivery]
timeout = "15 parsecs"                   #! delivery.timeout: `15 parsecs` is not a duration
[surver]                                 #! surver: unknown section; did you mean `server`?
"#;

#[test]
fn every_mistake_is_named_with_its_line_and_nothing_starts() {
    let place = Place::with(MISTAKEN);
    for command in ["check", "serve", "url"] {
        let arguments = if command == "url" { vec![command, "evolink"] } else { vec![command] };
        let Ran { code, out, err } = place.run(&arguments);
        assert_eq!((code, out.as_str()), (WRONG, ""), "{command}: {err}");
        let mut said = err.lines();
        for (at, line) in MISTAKEN.lines().enumerate() {
            let Some((_, expected)) = line.split_once("#! ") else { continue };
            let shown = said.next().unwrap_or_default();
            let place = format!("callboard.toml:{}: ", at + 1);
            assert!(shown.starts_with(&place) && shown.contains(expected), "{place}{expected}\n{shown}");
        }
        assert_eq!(said.next(), None);
        assert!(!err.contains("hunter2secret"));
    }
    assert!(!place.path("callboard.db").exists());
}

#[test]
fn what_only_a_channel_knows_is_named_with_its_line_too() {
    let place = Place::with(
        "[destinations.inside]\nteam = \"ops\"\nchannel = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n\
         [destinations.mail]\nteam = \"ops\"\nchannel = \"email\"\nto = [\"ops@example.com\"]\n",
    );
    for command in ["check", "serve"] {
        let Ran { code, err, .. } = place.run(&[command]);
        assert_eq!(code, WRONG, "{err}");
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 2, "{err}");
        assert!(lines[0].starts_with("callboard.toml:4: destinations.inside.url: "), "{err}");
        assert!(lines[0].contains("egress.allow"), "{err}");
        assert!(
            lines[1].starts_with("callboard.toml:8: destinations.mail.to: ") && lines[1].contains("[email]"),
            "{err}"
        );
    }
}

#[test]
fn variables_override_the_file_and_a_misspelt_one_is_named() {
    let place = Place::with("[server]\nlisten = \"127.0.0.1:1\"\n");
    let with = |name: &str, value: &str| {
        let mut command = place.command(&["check"]);
        command.env(name, value);
        end_of(command)
    };
    let Ran { code, out, .. } = with("CALLBOARD_SERVER__LISTEN", "127.0.0.1:7777");
    assert_eq!(code, DONE);
    assert!(out.contains("http://127.0.0.1:7777"), "{out}");
    let Ran { code, err, .. } = with("CALLBOARD_SERVER__LISTNE", "127.0.0.1:7777");
    assert_eq!(code, WRONG);
    assert_eq!(err, "CALLBOARD_SERVER__LISTNE: unknown key; did you mean `CALLBOARD_SERVER__LISTEN`?");
    assert_eq!(with("CALLBOARD_SOMETHING", "no setting").code, DONE);
    let Ran { code, err, .. } = with("CALLBOARD_CONFIG", "nowhere.toml");
    assert_eq!(code, WRONG);
    assert!(err.contains("nowhere.toml"), "{err}");
}

#[test]
fn the_reference_is_a_configuration() {
    let place = Place::new();
    let reference = place.run(&["check", "--reference"]);
    assert_eq!(reference.code, DONE);
    place.write("reference.toml", &reference.out);
    let Ran { code, out, err } = place.run(&["check", "--config", "reference.toml"]);
    assert_eq!(code, DONE, "{err}");
    let without = place.run(&["check"]);
    let behind_first = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(behind_first(&out), behind_first(&without.out), "what it says are the defaults");
}

#[test]
fn an_online_check_tries_everything_and_says_which_failed() {
    let sink = Sink::start(|got| Reply::Status(if got.request.path() == "/hook" { 204 } else { 500 }));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = |mail: &str, more: &str| {
        format!(
            "[email]\nsmtp = \"smtp://{mail}\"\nfrom = \"a@example.com\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n\
             [destinations.good]\nteam = \"ops\"\nchannel = \"webhook\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\n{more}",
            sink.url()
        )
    };
    let bad = format!("[destinations.bad]\nteam = \"ops\"\nchannel = \"webhook\"\nurl = \"http://{dead}/\"\n");
    let place = Place::with(&config(&dead.to_string(), &bad));
    let Ran { code, out, err } = place.run(&["check", "--online"]);
    assert_eq!(code, FAILED, "{out}{err}");
    assert!(out.contains("FAILED  SMTP server: ") && out.contains(&dead.to_string()), "{out}");
    assert!(out.contains("FAILED  destination bad: "), "{out}");
    assert!(out.contains("ok      destination good: ") && out.contains("ok      database: "), "{out}");
    assert!(err.contains("2 of these failed"), "{err}");
    super::signed::verified(&sink.got.until_len(1)[0].request);

    let place = Place::with(
        &config("localhost:1", "").replace("[email]\nsmtp = \"smtp://localhost:1\"\nfrom = \"a@example.com\"\n", ""),
    );
    let Ran { code, out, err } = place.run(&["check", "--online"]);
    assert_eq!(code, DONE, "{out}{err}");
}

#[test]
fn an_online_check_asks_each_provider_whether_it_takes_the_key() {
    let taken = Sink::start(|_| Reply::Status(404));
    let refused = Sink::start(|_| Reply::Status(401));
    let other = Sink::start(|_| Reply::Text("<html>a shop</html>"));
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = |name: &str, provider: &str, url: &str| {
        format!("[sources.{name}]\nprovider = \"{provider}\"\napi_key = \"hush-{name}\"\nbase_url = \"{url}\"\n")
    };
    // None of these addresses is in `egress.allow`: what the operator's own file names is exempt.
    let good = source("good", "evolink", &taken.url());
    let keyless = "[sources.keyless]\nprovider = \"evolink\"\n";
    let place = Place::with(&format!("{good}{keyless}"));
    let Ran { code, out, err } = place.run(&["check", "--online"]);
    assert_eq!(code, DONE, "{out}{err}");
    assert!(out.contains("ok      source good: 127.0.0.1:") && out.contains("takes the key"), "{out}");
    assert!(!out.contains("source keyless:"), "{out}");
    let asked = &taken.got.until_len(1)[0].request;
    assert_eq!(
        (asked.path(), asked.header("authorization")),
        ("/hook/v1/tasks/callboard-check", Some("Bearer hush-good"))
    );

    let bad = source("bad", "aivideoapi", &refused.url());
    let shop = source("shop", "api-in-one", &other.url());
    let gone = source("gone", "kling3api", &format!("http://{dead}/"));
    let place = Place::with(&format!("{good}{bad}{shop}{gone}"));
    let Ran { code, out, err } = place.run(&["check", "--online"]);
    assert_eq!(code, FAILED, "{out}{err}");
    for expected in [
        "FAILED  source bad: 127.0.0.1:",
        "refuses the key (HTTP 401): is `api_key` right",
        "FAILED  source shop: 127.0.0.1:",
        "answers, but not as its API does",
        "FAILED  source gone: no connection to 127.0.0.1:",
    ] {
        assert!(out.contains(expected), "`{expected}` is not in\n{out}");
    }
    assert!(err.contains("3 of these failed") && !format!("{out}{err}").contains("hush"), "{out}{err}");
}

#[test]
fn a_check_says_of_each_source_how_its_tasks_become_known() {
    let place = Place::with(
        "[sources.plain]\nprovider = \"evolink\"\n[sources.keyed]\nprovider = \"evolink\"\napi_key = \"hush\"\n\
         [sources.listed]\nprovider = \"evolink\"\napi_key = \"hush\"\npoll = { discover = true }\n\
         [sources.quiet]\nprovider = \"kling3api\"\n",
    );
    let Ran { code, out, err } = place.run(&["check"]);
    assert_eq!(code, DONE, "{err}");
    let below = |source: &str| {
        let mut lines = out.lines().skip_while(|line| !line.contains(&format!(" {source} (")));
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
    };
    assert!(below("plain").0.contains("believed unsigned") && below("plain").1.contains("cannot be noticed"), "{out}");
    assert!(below("keyed").0.contains("the provider is asked before"), "{out}");
    assert!(below("keyed").1.contains("unless you relay or register it, or set `poll.discover`"), "{out}");
    assert!(below("listed").1.contains("a callback that never comes is noticed"), "{out}");
    assert!(below("quiet").0.ends_with("quiet (kling3api)") && below("quiet").1.contains("never calls back"), "{out}");
}

#[test]
fn public_url_is_asked_whether_it_leads_here_at_once() {
    let place = Place::new();
    let service = place.serve_with(&[("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0")]);
    let check = |public_url: &str| {
        let other = Place::with(&format!("[server]\npublic_url = \"{public_url}\"\n"));
        other.run(&["check", "--online"])
    };
    let Ran { code, out, .. } = check(&service.url);
    assert_eq!(code, DONE, "{out}");
    assert!(out.contains("it leads to Callboard"), "{out}");
    let elsewhere = Sink::start(|_| Reply::Text("hello"));
    let moved = Sink::start(|_| Reply::Status(301));
    for (url, expected) in [
        (elsewhere.url(), "something else than Callboard"),
        (moved.url(), "providers do not follow redirects"),
        ("http://127.0.0.1:1".to_owned(), "public_url: "),
    ] {
        let Ran { code, out, .. } = check(&url);
        assert_eq!(code, FAILED, "{out}");
        assert!(out.contains("FAILED  public_url: ") && out.contains(expected), "{out}");
    }
    service.stop();
}

#[test]
fn url_prints_a_url_that_works_and_whose_metadata_wins() {
    let place = Place::new();
    let service = place.serve_with(&[("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0")]);
    let Ran { code, out, err } =
        place.run(&["url", "evolink", "--meta", "campaign=spring & summer", "--meta", "order=42"]);
    assert_eq!(code, DONE, "{err}");
    assert!(err.contains("server.public_url"), "{err}");
    // The command knows the configured address; the port is the running service's.
    let signed = format!("{}{}", service.url, wire::path_of(&out));
    let plain = format!("{}?campaign=winter&extra=1", service.callback_url("evolink"));
    let forged = signed.replace("order=42", "order=43");
    let body = |status: &str| String::from_utf8(evolink("task-1")).unwrap().replace("completed", status).into_bytes();
    let metadata = || service.get("/tasks/evolink/task-1")["metadata"].clone();

    assert_eq!(wire::post(&plain, &body("processing")).status(), 200);
    assert_eq!(metadata(), serde_json::json!({"campaign": "winter", "extra": "1"}));
    assert_eq!(wire::post(&forged, &body("processing")).status(), 200);
    assert_eq!(metadata()["campaign"], "winter", "a signature over other metadata counts for nothing");
    assert_eq!(wire::post(&signed, &body("completed")).status(), 200);
    let won = metadata();
    assert_eq!((&won["campaign"], &won["order"]), (&"spring & summer".into(), &"42".into()));
    assert_eq!(wire::post(&plain, &body("completed")).status(), 200);
    assert_eq!(metadata(), won, "an unsigned one does not take it back");
    let event = service.get("/events?type=task.completed")["items"][0].clone();
    assert_eq!(event["data"]["metadata"], won);
    service.stop();
}

#[test]
fn url_says_what_is_wrong_with_its_words() {
    let place = Place::new();
    let Ran { code, err, .. } = place.run(&["url", "evolnk"]);
    assert_eq!(code, WRONG);
    assert!(err.contains("`evolnk`") && err.contains("did you mean `evolink`?"), "{err}");
    for bad in ["campaign", "=x", "cb_x=1"] {
        let Ran { code, err, .. } = place.run(&["url", "evolink", "--meta", bad]);
        assert_eq!(code, WRONG);
        assert!(err.contains(bad), "{err}");
    }
    place.write("callboard.toml", "[server]\npublic_url = \"https://hooks.example.com/\"\n");
    let Ran { code, out, err } = place.run(&["url", "evolink"]);
    assert_eq!((code, err.as_str()), (DONE, ""));
    assert!(out.starts_with("https://hooks.example.com/callbacks/evolink/"), "{out}");
    let Ran { code, out, err } = place.run(&["url", "kling3api"]);
    assert_eq!(code, DONE);
    assert!(out.starts_with("https://hooks.example.com/callbacks/kling3api/"), "{out}");
    assert!(err.starts_with("note: `kling3api` takes no callback URL and never calls back"), "{err}");
}

#[test]
fn send_posts_as_the_provider_would() {
    let port = steady_port();
    let place = Place::with(&format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nadmin_key = \"{KEY}\"\n\
         [sources.evolink]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\n\
         [sources.replicate]\nprovider = \"replicate\"\nsigning_secret = \"{SECRET}\"\n"
    ));
    let service = place.serve();
    place.write("evolink.json", evolink("task-1"));
    place.write("replicate.json", body_of("replicate/succeeded-one.http"));
    let send = |source: &str, file: &str| place.run(&["send", source, file]);

    let Ran { code, out, err } = send("evolink", "evolink.json");
    assert_eq!(code, DONE, "{err}");
    assert!(out.starts_with("200 ") && out.contains("\"accepted\""), "{out}");
    assert!(send("evolink", "evolink.json").out.contains("\"duplicate\""));
    let Ran { code, out, err } = send("replicate", "replicate.json");
    assert_eq!(code, DONE, "{out}{err}");
    assert!(out.contains("\"accepted\""), "{out}");
    assert_eq!(service.get("/tasks/replicate/r2one")["confirmed"], true, "it is signed over its body");
    // The same post without the signature.
    assert_eq!(service.post("replicate", body_of("replicate/succeeded-one.http").as_bytes()).status(), 401);

    place.write("other.json", "{}");
    let Ran { code, out, .. } = send("evolink", "other.json");
    assert_eq!(code, FAILED);
    assert!(out.starts_with("422 "), "{out}");
    assert_eq!(send("evolink", "nowhere.json").code, FAILED);
    let elsewhere = Place::new();
    elsewhere.write("evolink.json", evolink("task-1"));
    let elsewhere = elsewhere.run(&["send", "evolink", "evolink.json", "--url", &service.url]);
    assert_eq!(elsewhere.code, FAILED, "it has another token: {}", elsewhere.out);
    assert!(elsewhere.out.starts_with("404 "), "{}", elsewhere.out);
    let Ran { code, err, .. } = send("evolnk", "evolink.json");
    assert_eq!(code, WRONG);
    assert!(err.contains("evolnk"), "{err}");
    service.stop();
    let Ran { code, err, .. } = send("evolink", "evolink.json");
    assert_eq!(code, FAILED);
    assert!(!err.contains(TOKEN), "the token is a secret: {err}");
}

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, DONE);
    let listed = help.out.split_once("Commands:").unwrap().1.split_once("\n\n").unwrap().0.to_owned();
    let commands: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(
        ["serve", "demo", "check", "url", "send", "completions"].iter().all(|name| commands.contains(name)),
        "{commands:?}"
    );
    assert!(help.out.contains("Example:\n"));
    for command in commands {
        let Ran { code, out, .. } = place.run(&[command, "--help"]);
        assert_eq!(code, DONE);
        assert!(out.contains(&format!("Example:\n  callboard {command}")), "{out}");
    }
    assert_eq!(std::fs::read_dir(place.path(".")).unwrap().count(), 0, "help makes nothing");
}

#[test]
fn completions_are_scripts_that_their_shells_can_read() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let Ran { code, out, .. } = place.run(&["completions", shell]);
        assert_eq!(code, DONE);
        assert!(["callboard", "check", "completions"].iter().all(|word| out.contains(word)), "{shell}: {out}");
        place.write(shell, &out);
    }
    let read = std::process::Command::new("bash").arg("-n").arg(place.path("bash")).output().unwrap();
    assert!(read.status.success(), "{read:?}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let place = Place::new();
    for arguments in [&["urll"][..], &["url"], &["serve", "--no-such"], &["completions", "dos"], &["send", "evolink"]] {
        let Ran { code, out, err } = place.run(arguments);
        assert_eq!((code, out.as_str()), (WRONG, ""), "{arguments:?}");
        assert!(err.contains("--help"), "{err}");
    }
    let Ran { code, out, .. } = place.run(&["--version"]);
    assert_eq!((code, out.as_str()), (DONE, concat!("callboard ", env!("CARGO_PKG_VERSION"))));
}
