//! The charts.

use super::texts;

texts! {
    /// The charts.
    Charts {
        days: "Days", "天数";
        last_days: "last {} days", "最近 {} 天";
        source: "Source", "来源";
        every_source: "every source", "所有来源";
        model: "Model", "模型";
        every_model: "every model", "所有模型";
        show: "Show", "显示";
        nothing: "Nothing has ended in these days", "这段时间没有任务结束";
        nothing_more: "When tasks end, their numbers appear here a second or two later.", "任务结束后一两秒，数据就会出现在这里。";
        throughput: "Tasks that ended, by day", "每日结束的任务";
        completed: "completed", "已完成";
        failed: "failed", "失败";
        cancelled: "cancelled", "已取消";
        success: "Success rate, by day", "每日成功率";
        success_what: "completed of those that completed or failed", "已完成占已完成与失败之和的比例";
        generation: "Generation time by model", "各模型生成时间";
        delay: "Callback delay, by day", "每日回调延迟";
        delay_what: "from the provider's end of a task to our receipt", "从服务商结束任务到我们收到回调";
        saved: "Told by the poll, by day", "每日由轮询得知的比例";
        saved_what: "ends that the provider told when it was asked, as their callback was missing or nobody had signed it", "因回调缺失或未签名而向服务商查询得知的任务结果";
        credits: "Credits, by day", "每日积分消耗";
        p50: "half within (p50)", "半数不超过（p50）";
        p95: "95 % within (p95)", "95% 不超过（p95）";
        share: "share", "比例";
        spent: "credits", "积分";
        day: "Day", "日期";
        table: "As a table", "以表格显示";
        health: "Destinations", "目标";
        ended: "ended", "已结束";
        total_success: "success rate", "成功率";
        total_saved: "told by the poll", "由轮询得知";
        disputed: "claims that the provider denied", "服务商否认的结果";
        conflicts: "contrary ends", "矛盾的结果";
        partial: "Only the first {} sources, models and days are shown: choose a source or fewer days.", "仅显示前 {} 条来源、模型与日期的数据：请选择来源或缩短天数。";
    }
}
