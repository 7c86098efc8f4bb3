//! What is done with events, deliveries, callbacks and tasks.

use super::texts;

texts! {
    /// Doing something.
    Doing {
        replay: "Replay", "重放";
        replay_one: "Replay an event", "重放事件";
        replay_many: "Replay {} events", "重放 {} 个事件";
        replay_selected: "Replay what is selected", "重放所选事件";
        replay_these: "Replay all of these", "重放全部筛选结果";
        select: "Select", "选择";
        about: "The same event is told again, with the same id; its receivers see that it is a replay.", "同一事件以相同 ID 再次发送；接收方可以识别这是重放。";
        to: "To", "发送至";
        subscribers: "all that subscribe now", "当前所有订阅者";
        or_url: "Or to this URL", "或发送至此 URL";
        reach: "Whom it reaches", "将会到达";
        reaches: "All that subscribe now: {}.", "当前所有订阅者：{}。";
        reaches_nobody: "Nobody subscribes to it now: choose a destination or a URL.", "当前没有订阅者：请选择目标或 URL。";
        event: "Event", "事件";
        kind: "Type", "类型";
        source: "Source", "来源";
        start: "Send now", "立即发送";
        start_what: "It is sent again at once. This cannot be taken back.", "将立即再次发送，且无法撤回。";
        told: "Deliveries that were made: {}.", "已创建投递：{}。";
        retry: "Try again now", "立即重试";
        retry_what: "It is tried at once, and its schedule begins anew.", "将立即尝试，并重新开始重试计划。";
        retried: "It is tried again.", "正在重试。";
        give_up: "Give up", "放弃";
        give_up_what: "It is not tried again by itself. You can try it again here later.", "不再自动尝试；之后仍可在此手动重试。";
        gave_up: "It is given up.", "已放弃。";
        reprocess: "Read again", "重新读取";
        reprocess_what: "It is read again, by today's adapter and with today's secrets, as if it came now. If it tells of a new step, that is sent to all that subscribe.", "将用当前的适配器和密钥重新读取，如同刚刚收到；若产生新状态，会通知所有订阅者。";
        reprocessed: "It was read again: {}.", "已重新读取：{}。";
        register: "Register a task", "登记任务";
        register_about: "A task that was submitted elsewhere is watched from now on: the provider is asked for it if no callback says its end.", "在别处提交的任务从现在起被跟踪：若没有回调告知结果，将向服务商查询。";
        task_id: "Task id", "任务 ID";
        metadata: "Metadata", "元数据";
        metadata_hint: "One key=value a line.", "每行一个 key=value。";
        expect_within: "Expected within", "预期完成时间";
        expect_within_hint: "For example 30m; then task.overdue is told.", "例如 30m；超时则通知 task.overdue。";
        registered: "The task is watched.", "任务已开始跟踪。";
    }
}

texts! {
    /// Replays of many.
    Replays {
        title: "Replay", "重放";
        about: "Many events told again, in the background.", "在后台批量重放事件。";
        new: "New replay", "新建重放";
        none: "No replays yet", "还没有重放";
        none_more: "A destination was down for a while? Tell it again what it missed: plan first, then start.", "目标曾经不可用？先制定计划，再重新发送错过的事件。";
        period: "Since", "起始时间";
        until: "Until", "结束时间";
        time_hint: "As in {}", "格式如 {}";
        every_source: "every source", "所有来源";
        every_kind: "every type", "所有类型";
        every_status: "whatever became of it", "不限状态";
        delivery_status: "Whose delivery is", "投递状态为";
        rate_hint: "For example 10/s; left empty, as fast as they are taken.", "例如 10/s；留空则以接收方能接受的最快速度发送。";
        plan: "Plan", "计划";
        plan_again: "Plan again", "重新计划";
        planned: "What it would reach", "预计影响";
        events: "Events", "事件数";
        deliveries: "Deliveries", "投递数";
        exact: "counted", "精确值";
        estimated: "an estimate", "估计值";
        start: "Start this replay", "开始重放";
        start_what: "{} deliveries are made and sent. What was put into the queue cannot be taken back; the rest can be cancelled.", "将创建并发送 {} 个投递。已入队的无法撤回，其余可以取消。";
        nothing: "Nothing is selected by this.", "没有符合条件的事件。";
        started: "The replay has begun.", "重放已开始。";
        progress: "Events", "事件";
        skipped: "Passed over", "已跳过";
        finished: "Ended", "结束于";
        cancel: "Cancel", "取消";
        cancel_what: "Nothing more of it is put into the queue; what is there goes out.", "不再加入新的投递；已入队的会继续发送。";
        cancelled: "The replay is cancelled.", "重放已取消。";
        of_team: "Made by", "创建者";
    }
}
