//! Tasks: the list, and each with its timeline.

use super::texts;

texts! {
    /// The tasks.
    Tasks {
        nothing_yet: "No tasks yet", "还没有任务";
        nothing_yet_more: "A task is known once its callback comes, or once it was relayed or registered. An example:", "任务在收到回调、被转发或被登记后就会出现在这里。示例：";
        nothing_yet_reader: "A task is known once its callback comes, or once it was relayed or registered.", "任务在收到回调、被转发或被登记后就会出现在这里。";
        known: "Known", "首次得知";
        progress: "Progress", "进度";
        outputs: "Outputs", "输出";
        timeline: "Timeline", "时间线";
        about: "About", "概要";
        provider: "Provider", "服务商";
        confirmed: "Confirmed", "已确认";
        yes: "yes", "是";
        no: "no", "否";
        via: "Learned by", "得知方式";
        began: "Began", "开始于";
        ended: "Ended", "结束于";
        took: "Took", "用时";
        credits: "Credits", "积分";
        changed: "Last changed", "最近更新";
        error: "Error", "错误";
        retryable: "The same request may succeed later.", "同样的请求稍后可能成功。";
        not_retryable: "The same request will not succeed.", "同样的请求不会成功。";
        no_metadata: "none", "无";
        relayed: "Relayed through Callboard", "经 Callboard 转发提交";
        relayed_answer: "the provider answered {}", "服务商返回 {}";
        registered: "Registered", "已登记";
        heard: "First heard of", "首次得知";
        callback: "Callback", "回调";
        poll: "The provider was asked", "向服务商查询";
        event: "Event", "事件";
        repeats: "came {} more times", "又重复 {} 次";
        answered_repeats: "answered the same {} more times", "又得到 {} 次相同的回答";
        handed_on: "handed on to the client", "转交给客户端";
        nobody: "nobody subscribes", "没有订阅者";
        bytes: "Bytes and headers", "原始内容";
        asked_next: "The provider is asked next", "下次向服务商查询";
        pruned: "Its results and callbacks were removed {}, as the retention says.", "按照保留期设置，其结果和回调已于 {} 删除。";
        expires: "expires", "到期时间";
        stays: "no end known", "有效期未知";
        open: "Open", "打开";
        data: "As the API gives it", "API 返回内容";
        attempt: "Attempt {}", "第 {} 次尝试";
        answer: "Answer", "响应";
        duration: "{} ms", "{} 毫秒";
        replay: "replay", "重放";
    }
}
