//! Callbacks: the list, and each with its bytes.

use super::texts;

texts! {
    /// The callbacks.
    Callbacks {
        nothing_yet: "No callbacks yet", "还没有回调";
        nothing_yet_more: "Put a source's callback URL into a generation request, or post an example:", "把来源的回调 URL 放进生成请求，或者发送一个示例：";
        nothing_yet_reader: "Put a source's callback URL into a generation request.", "请把来源的回调 URL 放进生成请求。";
        title: "Callback", "回调";
        received: "Received", "接收时间";
        repeats: "Came again", "重复次数";
        repeated: "Last time", "最近一次";
        trust: "Trust", "可信度";
        from: "From", "来自";
        query: "Query", "查询参数";
        came: "What came", "收到的内容";
        became: "What was made of it", "归一化后的事件";
        no_event: "No event was made of it.", "没有由此产生事件。";
        headers: "Headers", "请求头";
        raw: "Post it again", "重新发送";
        raw_more: "The same bytes and headers, as a command.", "用命令发送完全相同的内容和请求头。";
        save: "Save the bytes ({})", "下载原始字节（{}）";
        empty: "It has no body.", "请求体为空。";
        binary: "It is no text; here in base64:", "内容不是文本，以 base64 显示：";
        event_of: "Its event", "对应事件";
    }
}
