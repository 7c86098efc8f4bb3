//! `callboard check --online`: everything that the configuration names is asked whether it is there.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{Done, console};
use crate::app::{open_store, safe};
use crate::channels::House;
use crate::config::Config;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::delivery::Outcome;
use crate::domain::source::Source;
use crate::egress::{Ask, Egress, host_of};
use crate::flow::probe::probe;
use crate::flow::roster::{LiveRoster, Roster};
use crate::providers::api::{self, Told};
use crate::providers::provider;

/// How long each thing that is asked may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A task that no provider has: asking for it costs nothing and changes nothing.
const NO_TASK: &str = "callboard-check";

/// Enough for the answer that there is no such task, and for the reason of a refusal.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn online(config: Config, house: House) -> Done {
    let mut failed = 0;
    let mut tell = |what: &str, result: Result<String, String>| match result {
        Ok(fine) => console::say(&format!("ok      {what}: {fine}")),
        Err(problem) => {
            failed += 1;
            console::say(&format!("FAILED  {what}: {problem}"));
        }
    };
    if let Some(mailer) = &house.mailer {
        tell("SMTP server", mailer.check(PATIENCE).await.map(|()| "it takes our mail".into()));
    }
    match open_store(&config).await {
        Err(error) => tell("database", Err(format!("{error:#}"))),
        Ok(store) => {
            tell("database", Ok(store.kind().into()));
            let (clock, safe) = (Arc::new(SystemClock), safe(&config)?);
            let roster = LiveRoster::load(config.clone(), house, store.clone(), safe, clock).await?.now();
            for (name, result) in destinations(&roster).await {
                tell(&format!("destination {name}"), result);
            }
            store.close().await;
        }
    }
    for source in &config.sources {
        if let Some(result) = key_of(source).await {
            tell(&format!("source {}", source.name), result);
        }
    }
    if let Some(url) = &config.server.public_url {
        tell("public_url", public_url(url).await);
    }
    if failed > 0 { Err(anyhow::anyhow!("{failed} of these failed").into()) } else { Ok(()) }
}

async fn destinations(roster: &Roster) -> Vec<(String, Result<String, String>)> {
    let mut results = Vec::new();
    for (name, target) in &roster.targets {
        let report = probe(&*target.sender, PATIENCE, SystemClock.now()).await;
        let result = match report.outcome {
            Outcome::Delivered => Ok("it took a test message".into()),
            other => Err(other.reason().unwrap_or("no answer").to_owned()),
        };
        results.push((name.clone(), result));
    }
    results.sort_by(|(a, _), (b, _)| a.cmp(b));
    results
}

/// Whether the provider takes the source's `api_key`. `None` where the source has none.
async fn key_of(source: &Source) -> Option<Result<String, String>> {
    let ask = provider(&source.provider)?.ask()?;
    let (key, base_url) = (source.api_key.as_ref()?, source.base_url.as_ref()?);
    let call = ask.one(NO_TASK);
    let url = match Url::parse(&format!("{base_url}{}", call.path)) {
        Ok(url) => url,
        Err(error) => return Some(Err(format!("`base_url` gives no URL: {error}"))),
    };
    let mut headers = vec![("authorization", format!("Bearer {}", key.expose()))];
    if call.body.is_some() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    let request = Ask { method: call.method, url: &url, headers, body: call.body, body_max: ANSWER_BYTES_MAX };
    Some(match Egress::operators().ask(request, PATIENCE).await {
        Err(error) => Err(format!("{error}; is `base_url` where its API is?")),
        Ok(answer) => {
            let reply = api::Reply { status: answer.status, body: &answer.body, received_at: SystemClock.now() };
            judged(&host_of(&url), answer.status, ask.read_one(NO_TASK, &reply))
        }
    })
}

/// What an answer about a task that is not there says of the key.
fn judged(host: &str, status: u16, told: Told) -> Result<String, String> {
    match told {
        Told::NotFound | Told::Task(_) => Ok(format!("{host} answers, and takes the key")),
        Told::Refused(said) => Err(format!("{host} refuses the key ({said}): is `api_key` right, and may it ask?")),
        Told::Throttled => Err(format!("{host} is asked too often (HTTP 429): try again later")),
        Told::Nothing(_) if (300..400).contains(&status) => Err(format!(
            "{host} answers {status}, and redirects are not followed: write where it leads into `base_url`"
        )),
        // An id that it does not even look for is no reason to doubt the key.
        Told::Nothing(said) if [400, 422].contains(&status) => Ok(format!("{host} answers ({said})")),
        Told::Nothing(said) => Err(format!("{host} answers, but not as its API does ({said}): is `base_url` right?")),
    }
}

/// Providers do not follow redirects: `public_url` must lead to a running service at once.
async fn public_url(url: &str) -> Result<String, String> {
    let asked = format!("{url}/healthz");
    let parsed = Url::parse(&asked).map_err(|error| error.to_string())?;
    let answer = Egress::operators().get(&parsed, PATIENCE).await.map_err(|error| error.to_string())?;
    let is_ours = String::from_utf8_lossy(&answer.body).contains("\"alive\"");
    match answer.status {
        200 if is_ours => Ok("it leads to Callboard".into()),
        200 => Err("something else than Callboard answers there".into()),
        300..=399 => Err(format!("it answers {}: providers do not follow redirects", answer.status)),
        status => Err(format!("it answers {status}; is `callboard serve` running behind it?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_the_key_is_taken_and_what_to_do_if_not() {
        let nothing = |said: &str| Told::Nothing(said.to_owned());
        for (status, told, expected) in [
            (404, Told::NotFound, Ok("takes the key")),
            (401, Told::Refused("HTTP 401".into()), Err("h refuses the key (HTTP 401): is `api_key` right")),
            (429, Told::Throttled, Err("try again later")),
            (308, nothing("HTTP 308"), Err("redirects are not followed")),
            (400, nothing("HTTP 400, `bad_id`"), Ok("h answers (HTTP 400, `bad_id`)")),
            (502, nothing("HTTP 502"), Err("not as its API does (HTTP 502): is `base_url` right?")),
            (200, nothing("no JSON"), Err("not as its API does (no JSON)")),
        ] {
            let said = judged("h", status, told);
            match (&said, expected) {
                (Ok(said), Ok(words)) | (Err(said), Err(words)) => assert!(said.contains(words), "{said}"),
                _ => panic!("{status}: {said:?}"),
            }
        }
    }
}
