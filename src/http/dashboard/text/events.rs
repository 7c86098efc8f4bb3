//! Events: the list, as it happens, and each on its own.

use super::texts;

texts! {
    /// The events.
    Events {
        live: "Live", "实时";
        paused: "Paused", "已暂停";
        waiting: "Paused · {} new", "已暂停 · {} 条新事件";
        lost: "Connecting…", "正在连接…";
        ended: "Signed out: load the page again", "登录已失效，请刷新页面";
        pause: "Pause", "暂停";
        go_on: "Go on", "继续";
        search: "Search by task or metadata", "按任务或元数据搜索";
        search_hint: "Task id, or campaign=spring", "任务 ID，或 campaign=spring";
        kind: "Status", "状态";
        every_kind: "Every status", "所有状态";
        source: "Source", "来源";
        every_source: "Every source", "所有来源";
        model: "Model", "模型";
        filter: "Filter", "筛选";
        clear: "Clear", "清除";
        output: "Output", "输出";
        task: "Task", "任务";
        age: "Age", "时间";
        nothing_found: "Nothing found", "没有找到结果";
        nothing_found_more: "No event on this page has what you look for. If there is an older page, it may.", "本页没有符合条件的事件；如果还有更早的页面，可能在那里。";
        nothing_yet: "No events yet", "还没有事件";
        nothing_yet_more: "The first callback appears here by itself. Put a source's callback URL into a generation request, or post an example:", "第一个回调到达后会自动显示在这里。把来源的回调 URL 放进生成请求，或者发送一个示例：";
        expired: "expired", "已过期";
        look_image: "Look at the image", "查看图片";
        play_video: "Play the video", "播放视频";
        play_audio: "Play the sound", "播放音频";
    }
}
