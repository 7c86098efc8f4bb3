//! Destinations and subscriptions.

use super::texts;

texts! {
    /// Destinations.
    Destinations {
        about: "A destination is where a team wants to hear of its events.", "目标是团队希望接收事件的地方。";
        new: "New destination", "新建目标";
        none: "No destinations yet", "还没有目标";
        none_more: "Create one, send it a test message, and subscribe it to events.", "创建一个目标，发送测试消息，然后为它订阅事件。";
        none_no_team: "A destination belongs to a team: create a team first.", "目标属于团队：请先创建团队。";
        choose: "What kind of place is it?", "选择渠道类型";
        target: "Goes to", "发送至";
        held: "Held", "暂存";
        paused: "Paused until", "暂停至";
        failing: "Failing since", "持续失败自";
        dead_count: "Dead of late", "近期终止";
        concurrency: "Sent at once at most", "同时发送上限";
        test: "Send a test message", "发送测试消息";
        test_what: "One made-up task.completed of the source test is sent to {} at once. It is not kept.", "将立即向 {} 发送一条虚构的 task.completed（来源 test），不会保留。";
        test_before: "Nothing is saved yet.", "尚未保存。";
        test_went: "The test message was taken.", "测试消息已被接收。";
        test_went_not: "The test message was not taken: {}.", "测试消息未被接收：{}。";
        enable: "Enable", "启用";
        enable_send: "Enable and send what is held", "启用并发送暂存的投递";
        enable_drop: "Enable and drop what is held", "启用并丢弃暂存的投递";
        enable_send_what: "{} is enabled, and what is held for it is sent at its pace.", "将启用 {}，并按其速率发送暂存的投递。";
        enable_drop_what: "{} is enabled, and what is held for it is dead: it can only be replayed.", "将启用 {}，暂存的投递将终止，只能重放。";
        enabled: "{} takes deliveries again.", "{} 已恢复接收投递。";
        secret: "New secret", "新建密钥";
        secret_what: "A new secret signs from now on, beside the old one for a day.", "新密钥立即开始签名，旧密钥再并用一天。";
        secret_made: "The new secret signs from now on; the old one goes on for a day.", "新密钥已开始签名；旧密钥继续使用一天。";
        secret_of: "This signs what {} gets. It is shown only now; copy it:", "这是 {} 的签名密钥，仅此一次显示，请复制：";
        delete_what: "Delete the destination {}? Its subscriptions go with it, and what is still to be delivered there is dead.", "删除目标 {}？其订阅会一并删除，尚未送达的投递将终止。";
        to_it: "To the destination", "前往该目标";
        subscribe: "Subscribe it to events", "为它订阅事件";
        deliveries: "Deliveries", "投递";
        too_many: "over {}", "超过 {}";
        unchanged_url: "Left empty, it stays as it is: it is a secret and is never shown.", "留空则保持不变：它是机密，不会显示。";
        field_url: "URL", "URL";
        field_to: "Addresses", "收件地址";
        field_to_hint: "One a line.", "每行一个。";
        field_secret: "Secret", "密钥";
        field_secret_hint: "Left empty, one is made and shown once.", "留空则自动生成并仅显示一次。";
    }
}

texts! {
    /// Subscriptions.
    Subscriptions {
        about: "A subscription says which events go to which destination.", "订阅决定哪些事件发送到哪个目标。";
        new: "New subscription", "新建订阅";
        title: "Subscription", "订阅";
        none: "No subscriptions yet", "还没有订阅";
        none_more: "Nobody is told of anything. Create one for a destination.", "目前不会通知任何人。请为某个目标创建订阅。";
        none_no_destination: "There is no destination yet: create one first.", "还没有目标：请先创建目标。";
        destination: "Destination", "目标";
        events: "Events", "事件";
        events_hint: "None chosen: the ends of tasks, task.overdue and task.conflict.", "不选择则为任务的最终状态、task.overdue 和 task.conflict。";
        sources: "Sources", "来源";
        sources_hint: "None chosen: all that the team may see.", "不选择则为团队可见的全部来源。";
        every_source: "all", "全部";
        condition: "Only where", "条件";
        condition_hint: "CEL over event and task. A field that is not there makes it no match.", "以 event 和 task 为变量的 CEL 表达式。字段不存在则不匹配。";
        faults: "Could not be worked out", "无法求值";
        delete_what: "Delete this subscription? {} is told of its events no more.", "删除此订阅？{} 将不再收到相应事件。";
        deleted: "The subscription of {} is deleted.", "{} 的订阅已删除。";
        made: "{} is told of them from now on.", "今后将通知 {}。";
    }
}
