//! What is set up: what all of it shares.

use super::texts;

texts! {
    /// What all settings share.
    Settings {
        title: "Settings", "设置";
        sources: "Sources", "来源";
        destinations: "Destinations", "目标";
        subscriptions: "Subscriptions", "订阅";
        teams: "Teams", "团队";
        keys: "API keys", "API 密钥";
        audit: "Audit log", "审计日志";
        name: "Name", "名称";
        name_hint: "Lower-case letters, digits, - and _; it cannot be changed later.", "小写字母、数字、- 和 _；之后不能更改。";
        team: "Team", "团队";
        team_of: "Its team", "所属团队";
        every_team: "all teams", "所有团队";
        state: "State", "状态";
        provider: "Provider", "服务商";
        channel: "Channel", "渠道";
        made_in: "Declared", "声明位置";
        in_file: "in the file", "配置文件";
        at_run_time: "at run time", "运行时";
        file_only: "The configuration file declares this: it is shown here and changed only there.", "该内容由配置文件声明：此处仅供查看，只能在配置文件中修改。";
        create: "Create", "创建";
        save: "Save", "保存";
        more: "What is seldom changed", "不常更改的设置";
        edit: "Edit", "编辑";
        edit_of: "Edit {}", "编辑 {}";
        delete: "Delete", "删除";
        undo: "Undo", "撤销";
        created: "{} is created.", "已创建 {}。";
        saved: "{} is saved.", "已保存 {}。";
        deleted: "{} is deleted.", "已删除 {}。";
        secret_stays: "Left empty, the one of before stays.", "留空则保留原来的值。";
        once: "This is shown only now. Copy it:", "仅此一次显示，请复制：";
        yes: "yes", "是";
        no: "no", "否";
        reason: "Reason", "原因";
        since: "Since", "起始";
        rate: "Rate", "速率";
        optional_rate: "For example 5/s; left empty, there is no limit but the usual.", "例如 5/s；留空则使用默认限制。";
    }
}

texts! {
    /// Sources.
    Sources {
        about: "A source is one provider account that calls us.", "来源是一个会向我们发送回调的服务商账号。";
        new: "New source", "新建来源";
        none: "No sources yet", "还没有来源";
        none_more: "Create one, and put its callback URL into your generation requests.", "创建一个来源，并把它的回调 URL 放进生成请求。";
        teams: "Teams that see it", "可见团队";
        teams_hint: "None chosen: all teams.", "不选择则对所有团队可见。";
        signing_secret: "Signing secret", "签名密钥";
        signing_secret_hint: "Only where the provider signs its callbacks.", "仅当服务商对回调签名时填写。";
        api_key: "API key of the provider", "服务商 API 密钥";
        api_key_hint: "With it the provider is asked when a callback is missing or unsigned.", "回调缺失或未签名时，用它向服务商查询。";
        base_url: "Address of the API", "API 地址";
        confirm: "Ask before believing what nobody signed", "未签名的结果先向服务商确认";
        confirm_within: "Tell it unconfirmed after", "多久后以未确认状态通知";
        poll_after: "Ask for a task first after", "首次查询等待";
        poll_every: "Ask again every", "查询间隔";
        poll_give_up: "Give up after", "停止查询时间";
        poll_pace: "Questions at most", "查询速率上限";
        discover: "Read the provider's own list for tasks that nobody told us of", "读取服务商的任务列表以发现未知任务";
        rate: "Callbacks at most", "回调速率上限";
        relay_keys: "Keys of clients that relay", "转发客户端的密钥";
        auto: "where it can be asked", "能查询时确认";
        always: "always", "总是";
        never: "never", "从不";
        keep: "kept until their task ends", "保留至任务结束";
        forget: "forgotten at once", "立即丢弃";
        signed: "Callbacks are signed", "回调已签名";
        can_ask: "The provider can be asked", "可向服务商查询";
        usual: "As usual: {}", "默认：{}";
        callback_url: "Callback URL", "回调 URL";
        callback_url_more: "Put it into each generation request. Who has it can post callbacks.", "放进每个生成请求。持有该 URL 的人可以发送回调。";
        never_calls: "This provider takes no callback URL: its tasks are known by relay, registration or polling.", "该服务商不接受回调 URL：其任务通过转发、登记或轮询获知。";
        not_public: "server.public_url is not set: no provider can reach this address.", "未设置 server.public_url：服务商无法访问此地址。";
        metadata: "Metadata of the task", "任务元数据";
        metadata_hint: "One key=value a line. It is signed, so that nobody else can put other metadata in its place.", "每行一个 key=value。URL 会被签名，他人无法替换其中的元数据。";
        make_url: "Make the URL", "生成 URL";
        tokens: "Callback tokens", "回调令牌";
        token: "Token", "令牌";
        token_made: "Made", "创建于";
        token_used: "Last used", "最近使用";
        rotate: "New token", "新建令牌";
        rotate_what: "A second callback URL is made. The old ones go on working until you retire them.", "将生成新的回调 URL。旧的继续有效，直到您将其停用。";
        rotated: "The new callback URL is {}. The old ones work until they are retired.", "新的回调 URL 为 {}。旧的在停用前继续有效。";
        retire: "Retire", "停用";
        retire_what: "Callbacks to the URL with this token are answered 404 from now on.", "发往含此令牌 URL 的回调今后将返回 404。";
        retired: "The token is retired.", "令牌已停用。";
        delete_what: "Delete the source {}? Its callback URLs are no more; its tasks, callbacks and events stay.", "删除来源 {}？其回调 URL 将失效；任务、回调和事件会保留。";
    }
}
