//! Events: the list, as it happens, and each on its own.

use super::texts;

texts! {
    /// The events.
    Events {
        live: "Live", "实时";
        paused: "Paused", "已暂停";
        waiting: "Paused · {} new", "已暂停 · {} 条新事件";
        lost: "Connecting…", "正在连接…";
        ended: "Not connected: load the page again", "连接已断开，请刷新页面";
        pause: "Pause", "暂停";
        go_on: "Go on", "继续";
        nothing_yet: "No events yet", "还没有事件";
        nothing_yet_more: "The first callback appears here by itself. Put a source's callback URL into a generation request, or post an example:", "第一个回调到达后会自动显示在这里。把来源的回调 URL 放进生成请求，或者发送一个示例：";
        nothing_yet_reader: "The first callback appears here by itself.", "第一个回调到达后会自动显示在这里。";
        body: "As it is told, byte for byte", "推送内容（逐字节一致）";
        deliveries: "Deliveries", "投递";
        nobody: "Nobody is told of it: no subscription fits.", "没有匹配的订阅，因此没有通知任何人。";
        nobody_command: "A destination and a subscription are made with:", "创建目标和订阅的命令：";
    }
}
