//! What is answered, beside the examples of the documents: the same fields with the same values.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::super::plan::{End, Plan, Says, Tempo};
use super::super::task::ESTIMATE;
use super::*;
use crate::domain::task::Status;

/// 2025-09-06T14:42:23Z, the moment of EvoLink's example.
const CREATED: Timestamp = Timestamp(1_757_169_743_000);

fn dialect(name: &str) -> &'static dyn Dialect {
    *DIALECTS.iter().find(|dialect| dialect.name() == name).unwrap()
}

fn order(name: &str, path: &str, body: &Value) -> Result<Order, Refusal> {
    dialect(name).order(path, body.as_object().unwrap())
}

fn task(name: &str, path: &str, id: &str, body: &Value, end: End) -> SimulatedTask {
    let plan = Plan { end, ..Plan::default() };
    let order = order(name, path, body).unwrap();
    let ends_at = CREATED.after(plan.ends_after());
    SimulatedTask {
        id: id.to_owned(),
        plan,
        created_at: CREATED,
        ends_at,
        callback_url: None,
        estimate: ESTIMATE,
        order,
    }
}

/// What is said so many seconds after the creation; the ordinary task ends after 62.
fn shown(name: &str, task: &SimulatedTask, seconds: u64) -> Value {
    let now = CREATED.after(Duration::from_secs(seconds));
    dialect(name).shown(task, &task.shown(now, Tempo::new(1.0)))
}

fn evolink(end: End) -> SimulatedTask {
    let body = json!({
        "model": "kling-o3-text-to-video",
        "prompt": "A golden retriever running through a sunlit meadow, cinematic slow motion.",
        "duration": 5,
        "aspect_ratio": "16:9",
        "quality": "720p",
        "sound": "off",
        "callback_url": "https://your-domain.com/webhooks/video-task-completed",
    });
    task("evolink", "/v1/videos/generations", "task-unified-1757169743-o3t2v", &body, end)
}

#[test]
fn evolink_answers_a_create_as_its_example_shows() {
    let task = evolink(End::Completed);
    let moment = task.shown(CREATED, Tempo::new(1.0));
    let expected = r#"{
      "created": 1757169743,
      "id": "task-unified-1757169743-o3t2v",
      "model": "kling-o3-text-to-video",
      "object": "video.generation.task",
      "progress": 0,
      "status": "pending",
      "task_info": {"can_cancel": true, "estimated_time": 180, "video_duration": 5},
      "type": "video",
      "usage": {"billing_rule": "per_second", "credits_reserved": 27.0, "user_group": "default"}
    }"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(dialect("evolink").created(&task, &moment), expected);
    assert_eq!(task.order.callback_url.as_deref(), Some("https://your-domain.com/webhooks/video-task-completed"));
}

#[test]
fn evolink_shows_progress_results_and_errors() {
    let completed = evolink(End::Completed);
    let working = shown("evolink", &completed, 32);
    assert_eq!((&working["status"], &working["progress"]), (&json!("processing"), &json!(50)));
    let expected = json!({
        "created": 1_757_169_743,
        "id": "task-unified-1757169743-o3t2v",
        "model": "kling-o3-text-to-video",
        "object": "video.generation.task",
        "progress": 100,
        "results": ["https://results.example.com/task-unified-1757169743-o3t2v.mp4"],
        "status": "completed",
        "task_info": {"can_cancel": false},
        "type": "video",
        "usage": {"credits_used": 27.0},
    });
    assert_eq!(shown("evolink", &completed, 62), expected);
    let failed = evolink(End::failed("content_policy_violation", "Content policy violation."));
    let expected = json!({
        "id": "task-unified-1757169743-o3t2v",
        "object": "video.generation.task",
        "status": "failed",
        "model": "kling-o3-text-to-video",
        "progress": 0,
        "error": {"code": "content_policy_violation", "message": "Content policy violation."},
    });
    assert_eq!(shown("evolink", &failed, 62), expected);
    assert_eq!(shown("evolink", &evolink(End::Cancelled), 62)["status"], json!("cancelled"));
}

#[test]
fn evolink_shortens_some_callbacks() {
    let mut task = evolink(End::Completed);
    let whole = dialect("evolink").callback(&task, &task.called(Says::TheEnd), CREATED);
    assert_eq!(whole, (Vec::new(), shown("evolink", &task, 62)));
    task.plan.short = true;
    let (_, body) = dialect("evolink").callback(&task, &task.called(Says::TheEnd), CREATED);
    let expected = json!({
        "id": "task-unified-1757169743-o3t2v",
        "status": "completed",
        "model": "kling-o3-text-to-video",
        "results": ["https://results.example.com/task-unified-1757169743-o3t2v.mp4"],
    });
    assert_eq!(body, expected);
}

#[test]
fn evolink_makes_images_and_sounds_and_bills_by_quality_and_sound() {
    let body = json!({"model": "gpt-4o-image", "prompt": "A cat"});
    let image = task("evolink", "/v1/images/generations", "i", &body, End::Completed);
    let shown = shown("evolink", &image, 62);
    assert_eq!((&shown["object"], &shown["type"]), (&json!("image.generation.task"), &json!("image")));
    assert_eq!(shown["results"], json!(["https://results.example.com/i.png"]));
    for (model, quality, sound, credits) in [
        ("kling-o3-text-to-video", "720p", "off", 27.0),
        ("kling-o3-text-to-video", "720p", "on", 36.018),
        ("kling-o3-text-to-video", "1080p", "on", 45.009),
        ("kling-v3-image-to-video", "720p", "on", 40.5),
        ("kling-v3-image-to-video", "1080p", "off", 35.991),
        ("kling-v3-image-to-video", "1080p", "on", 54.0),
    ] {
        let start = "https://example.com/first-frame.jpg";
        let body = json!({"model": model, "prompt": "x", "image_start": start, "quality": quality, "sound": sound});
        let made = order("evolink", "/v1/videos/generations", &body).unwrap();
        assert_eq!(made.credits, credits, "{model} {quality} {sound}");
    }
}

fn aivideoapi(end: End) -> SimulatedTask {
    let body = json!({
        "model": "kling-3.0",
        "callback_url": "https://your-server.com/webhook",
        "input": {"prompt": "无人机航拍日落时分的山脉,电影级光影效果", "mode": "std", "duration": 5, "sound": true},
    });
    task("aivideoapi", "/v1/videos/generations", "cbf6b69d-4f03-4817-8ed7-94c0292184a8", &body, end)
}

#[test]
fn aivideoapi_answers_as_its_examples_show() {
    let task = aivideoapi(End::Completed);
    let created = dialect("aivideoapi").created(&task, &task.shown(CREATED, Tempo::new(1.0)));
    let expected = json!({
        "code": 200,
        "msg": "success",
        "data": {"taskId": "cbf6b69d-4f03-4817-8ed7-94c0292184a8"},
    });
    assert_eq!(created, expected);
    let id = "cbf6b69d-4f03-4817-8ed7-94c0292184a8";
    let base = |status| json!({"id": id, "status": status, "model": "kling-3.0", "created_at": 1_757_169_743});
    let with = |status, name: &str, value| {
        let mut body = base(status);
        body[name] = value;
        body
    };
    assert_eq!(shown("aivideoapi", &task, 30), with("processing", "progress", Value::Null));
    let mut expected = with("completed", "completed_at", json!(1_757_169_805));
    expected["output"] = json!({
        "urls": [format!("https://results.example.com/{id}.mp4")],
        "metadata": {"model": "kling-3.0/video"},
    });
    assert_eq!(shown("aivideoapi", &task, 62), expected);
    let failed = aivideoapi(End::failed("upstream_error", "Video generation failed"));
    let error = json!({"code": "upstream_error", "message": "Video generation failed"});
    assert_eq!(shown("aivideoapi", &failed, 62), with("failed", "error", error));
}

#[test]
fn aivideoapi_repeats_the_event_and_the_task_in_headers() {
    let failed = aivideoapi(End::failed("upstream_error", "Video generation failed"));
    let (headers, body) = dialect("aivideoapi").callback(&failed, &failed.called(Says::TheEnd), CREATED);
    let expected = [
        ("x-event", "task.failed"),
        ("x-task-id", "cbf6b69d-4f03-4817-8ed7-94c0292184a8"),
        ("x-timestamp", "1757169743"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(body, shown("aivideoapi", &failed, 62));
}

#[test]
fn kling3api_answers_as_its_examples_show() {
    let request = json!({
        "type": "pro-text-to-video",
        "prompt": "A majestic eagle soaring through clouds at sunset",
        "duration": 5,
        "aspect_ratio": "16:9",
    });
    let task = task("kling3api", "/api/generate", "n75abc123kling3", &request, End::Completed);
    let created = dialect("kling3api").created(&task, &task.shown(CREATED, Tempo::new(1.0)));
    let expected = json!({
        "code": 200,
        "message": "success",
        "data": {"task_id": "n75abc123kling3", "status": "IN_PROGRESS", "consumed_credits": 400},
    });
    assert_eq!(created, expected);
    let expected = json!({
        "code": 200,
        "message": "success",
        "data": {
            "task_id": "n75abc123kling3",
            "status": "SUCCESS",
            "consumed_credits": 400,
            "created_at": "2025-09-06T14:42:23Z",
            "request": request,
            "response": ["https://results.example.com/n75abc123kling3.mp4"],
            "error_message": null,
            "type": "pro-text-to-video",
        },
    });
    assert_eq!(shown("kling3api", &task, 62), expected);
    assert_eq!(shown("kling3api", &task, 61)["data"]["response"], json!([]));
}

#[test]
fn api_in_one_is_asked_as_documented_and_answers_like_its_backend() {
    let request = json!({
        "model": "kling-3",
        "prompt": "A golden retriever running through a field of sunflowers at sunset, cinematic quality",
        "mode": "std",
        "duration": 5,
        "aspect_ratio": "16:9",
        "sound": true,
    });
    let failed = End::failed("INTERNAL_ERROR", "The server failed, try again later.");
    let task = task("api-in-one", "/api/v1/videos/generations", "n75a", &request, failed);
    let shown = shown("api-in-one", &task, 62);
    assert_eq!(shown["data"]["status"], json!("FAILED"));
    assert_eq!(shown["data"]["error_message"], json!("The server failed, try again later."));
    assert_eq!(shown["data"]["consumed_credits"], json!(300));
}

#[test]
fn routes_are_those_of_the_documents() {
    let one = |id: &str| Ok(Question::One(id.to_owned()));
    for (name, method, path, query, expected) in [
        ("evolink", "POST", "/v1/videos/generations", "", Ok(Question::Create)),
        ("evolink", "GET", "/v1/tasks/task-1", "", one("task-1")),
        ("evolink", "POST", "/v1/tasks/batch", "", Ok(Question::Many)),
        ("evolink", "GET", "/v1/tasks", "page=2", Ok(Question::List)),
        ("evolink", "GET", "/v1/tasks/", "", Err(Refusal::NoRoute)),
        ("evolink", "GET", "/v1/videos/generations", "", Err(Refusal::Method)),
        ("aivideoapi", "POST", "/v1/videos/generations", "", Ok(Question::Create)),
        ("aivideoapi", "GET", "/v1/tasks/a", "", one("a")),
        ("aivideoapi", "POST", "/v1/tasks/batch", "", Err(Refusal::Method)),
        ("kling3api", "POST", "/api/generate", "", Ok(Question::Create)),
        ("kling3api", "GET", "/api/status", "task_id=n75%2Fa", one("n75/a")),
        ("api-in-one", "POST", "/api/v1/videos/generations", "", Ok(Question::Create)),
        ("api-in-one", "GET", "/api/v1/tasks/n75a", "", one("n75a")),
        ("api-in-one", "GET", "/v1/tasks/n75a", "", Err(Refusal::NoRoute)),
    ] {
        assert_eq!(dialect(name).question(method, path, query), expected, "{name} {method} {path}");
    }
}

#[test]
fn what_cannot_be_made_is_refused_in_the_words_of_the_documents() {
    let video = "/v1/videos/generations";
    for (name, path, body, status, code) in [
        ("evolink", video, json!({"prompt": "x"}), 400, "invalid_parameters"),
        ("evolink", video, json!({"model": "kling-o3-text-to-video"}), 400, "invalid_parameters"),
        ("evolink", video, json!({"model": "kling-v3-image-to-video"}), 400, "invalid_parameters"),
        ("evolink", video, json!({"model": "m", "prompt": "x", "duration": 16}), 400, "invalid_parameters"),
        ("aivideoapi", video, json!({"input": {"prompt": "x"}}), 400, "invalid_request"),
        ("aivideoapi", video, json!({"model": "kling-3.0", "input": {}}), 400, "invalid_request"),
        ("aivideoapi", video, json!({"model": "moon", "input": {"prompt": "x"}}), 404, "model_not_found"),
        ("kling3api", "/api/generate", json!({"type": "moon"}), 400, "INVALID_TYPE"),
        ("kling3api", "/api/generate", json!({"type": "pro-text-to-video"}), 400, "INVALID_PROMPT"),
        ("kling3api", "/api/generate", json!({"type": "pro-image-to-video", "prompt": "x"}), 400, "MISSING_IMAGE"),
        ("kling3api", "/api/generate", json!({"type": "o3-pro-video-edit", "prompt": "x"}), 400, "MISSING_VIDEO"),
    ] {
        let refusal = order(name, path, &body).unwrap_err();
        let shown = dialect(name).refused(&refusal);
        let said = shown["error"]["code"].as_str().or(shown["message"].as_str());
        assert_eq!((refusal.status(), said), (status, Some(code)), "{name} {body}");
    }
    let expected = json!({
        "error": {"code": "invalid_request", "message": "'model' is required.", "type": "invalid_request_error"},
    });
    let refusal = order("aivideoapi", video, &json!({})).unwrap_err();
    assert_eq!(dialect("aivideoapi").refused(&refusal), expected);
}

#[test]
fn a_forgery_leads_elsewhere_and_looks_like_the_truth() {
    for (name, task) in [("evolink", evolink(End::Completed)), ("aivideoapi", aivideoapi(End::Completed))] {
        let said = |says| dialect(name).callback(&task, &task.called(says), CREATED).1;
        let (truth, forgery) = (said(Says::TheEnd), said(Says::Forgery));
        assert_ne!(truth, forgery);
        let mended = forgery.to_string().replace("forged.example.com", "results.example.com");
        assert_eq!(mended, truth.to_string(), "{name}");
    }
    let failing = evolink(End::failed("service_error", "The service failed."));
    assert_eq!(failing.called(Says::Forgery).status, Status::Completed);
    assert_eq!(failing.called(Says::Forgery).error, None);
}

#[test]
fn every_provider_has_ids_errors_and_habits_of_its_own() {
    let mut rng = StdRng::seed_from_u64(1);
    let order = order("evolink", "/v1/videos/generations", &json!({"model": "m", "prompt": "x"})).unwrap();
    for dialect in DIALECTS {
        let ids: BTreeSet<String> = (0..100).map(|_| dialect.new_id(&order, &mut rng, CREATED)).collect();
        assert_eq!(ids.len(), 100, "{}", dialect.name());
        assert!(!dialect.habits().failures.is_empty());
        assert_eq!(dialect.retries() == Retries::AfterTheFirst(&[]), !dialect.habits().calls_back);
    }
    let id = |name: &str| dialect(name).new_id(&order, &mut StdRng::seed_from_u64(1), CREATED);
    assert!(id("evolink").starts_with("task-unified-1757169743-"));
    assert_eq!(id("aivideoapi").len(), "cbf6b69d-4f03-4817-8ed7-94c0292184a8".len());
    assert!(id("kling3api").starts_with("n75"));
}
