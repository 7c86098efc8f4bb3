//! What all lists have.

use super::texts;

texts! {
    /// What all lists have.
    Lists {
        status: "Status", "状态";
        every_status: "Every status", "所有状态";
        source: "Source", "来源";
        every_source: "Every source", "所有来源";
        destination: "Destination", "目标";
        every_destination: "Every destination", "所有目标";
        outcome: "Outcome", "结果";
        every_outcome: "Every outcome", "所有结果";
        model: "Model", "模型";
        task: "Task", "任务";
        task_id: "Task id", "任务 ID";
        event: "Event", "事件";
        event_id: "Event id", "事件 ID";
        output: "Output", "输出";
        age: "Age", "时间";
        search: "Search by task or metadata", "按任务或元数据搜索";
        search_hint: "Task id, or campaign=spring", "任务 ID，或 campaign=spring";
        filter: "Filter", "筛选";
        clear: "Clear", "清除";
        nothing_found: "Nothing found", "没有找到结果";
        nothing_found_more: "Nothing on this page has what you look for. If there is an older page, it may.", "本页没有符合条件的内容；如果还有更早的页面，可能在那里。";
        expired: "expired", "已过期";
        look_image: "Look at the image", "查看图片";
        play_video: "Play the video", "播放视频";
        play_audio: "Play the sound", "播放音频";
        attempts: "Attempts", "尝试次数";
        next: "Next try", "下次尝试";
        created: "Made", "创建时间";
        finished: "Ended", "结束时间";
        reason: "Why", "原因";
        id: "Id", "编号";
        metadata: "Metadata", "元数据";
        kind: "Type", "类型";
    }
}
