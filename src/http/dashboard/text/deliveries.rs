//! Deliveries: the list, and each with its attempts.

use super::texts;

texts! {
    /// The deliveries.
    Deliveries {
        nothing_yet: "No deliveries yet", "还没有投递";
        nothing_yet_more: "Each event is delivered to whoever subscribes. A destination and a subscription are made with:", "每个事件都会投递给订阅者。创建目标和订阅的命令：";
        title: "Delivery", "投递";
        replay: "Replay", "重放";
        attempts: "Attempts", "尝试记录";
        none: "It was not tried yet.", "尚未尝试。";
        sent: "What is sent", "发送内容";
        sent_webhook: "These bytes by POST, with the headers", "通过 POST 发送以下字节，请求头包括";
        sent_message: "A message made of this event.", "由此事件生成的消息。";
        event_gone: "Its event was removed, as the retention says.", "按照保留期设置，其事件已删除。";
    }
}
