//! What stands around each page, on the sign-in, and where a page is refused.

use super::texts;

texts! {
    /// What stands around each page.
    Frame {
        skip: "Skip to the content", "跳到内容";
        navigation: "Navigation", "导航";
        events: "Events", "事件";
        tasks: "Tasks", "任务";
        callbacks: "Callbacks", "回调";
        deliveries: "Deliveries", "投递";
        replays: "Replays", "重放";
        charts: "Charts", "图表";
        settings: "Settings", "设置";
        actions: "Actions", "操作";
        api: "API", "API 文档";
        sign_out: "Sign out", "退出登录";
        all_teams: "all teams", "所有团队";
        language: "Language", "语言";
        theme: "Colours", "配色";
        system: "System", "跟随系统";
        light: "Light", "浅色";
        dark: "Dark", "深色";
        seconds: "{}s", "{}秒";
        minutes: "{}m", "{}分钟";
        hours: "{}h", "{}小时";
        days: "{}d", "{}天";
        ago: "{} ago", "{}前";
        ahead: "in {}", "{}后";
        pages: "Pages", "分页";
        older: "Older", "更早";
        newest: "Newest", "最新";
        copy: "Copy", "复制";
        copied: "Copied", "已复制";
        shortcuts: "Keyboard shortcuts", "键盘快捷键";
        shortcut_help: "Show this list", "显示此列表";
        shortcut_search: "Search", "搜索";
        shortcut_next: "Next row, row before", "下一行、上一行";
        shortcut_open: "Open the row", "打开所选行";
        shortcut_pause: "Pause and go on (live events)", "暂停／继续（实时事件）";
        shortcut_go: "Go to {}", "前往「{}」";
        close: "Close", "关闭";
        cancel: "Cancel", "取消";
    }
}

texts! {
    /// Why a page is not shown.
    Refusals {
        not_found: "Not found", "没有找到";
        not_found_more: "There is no such thing here, or this key may not see it.", "这里没有该内容，或者当前密钥无权查看。";
        forbidden: "This key may not do that", "当前密钥无此权限";
        invalid: "That cannot be read", "无法识别的请求";
        conflict: "Not possible now", "当前无法执行";
        unavailable: "The database does not answer", "数据库没有响应";
        unavailable_more: "Nothing is lost. Load the page again in a moment.", "没有丢失任何数据，请稍后刷新页面。";
        other: "That did not work", "操作未成功";
        foreign: "This form is out of date", "表单已过期";
        foreign_more: "It was not sent by a page of this session. Go back, load the page again, and repeat.", "该表单不是由当前会话的页面提交的。请返回、刷新页面后重试。";
        home: "To the events", "前往事件页";
    }
}

texts! {
    /// The sign-in.
    SignIn {
        title: "Sign in", "登录";
        key: "API key", "API 密钥";
        hint: "On first start the administrator's key was kept beside the database:", "首次启动时，管理员密钥保存在数据库旁的文件中：";
        more: "A key for yourself or your team is made with:", "为自己或团队创建密钥：";
        button: "Sign in", "登录";
        signed_out: "You are signed out.", "您已退出登录。";
        wrong: "This key does not hold: it is mistyped, revoked or expired.", "密钥无效：可能输入有误、已吊销或已过期。";
        relay_only: "This is a key for relaying. Looking takes one of the roles read, manage or admin.", "这是仅用于转发的密钥。查看需要 read、manage 或 admin 角色的密钥。";
        too_many: "Too many wrong keys came from your address. Try again in {} seconds.", "来自您地址的错误密钥过多，请在 {} 秒后重试。";
        open: "Not over a connection that others can read", "不能通过他人可读取的连接登录";
        open_more: "This page came by plain http, so the key could be read on its way. Open it by https, or on the machine itself: a tunnel makes it so.", "此页面通过未加密的 http 打开，密钥可能在途中被读取。请改用 https 打开，或在本机上打开；也可以使用隧道：";
        proxy: "If a proxy in front does the https, name it in server.trusted_proxies and have it send X-Forwarded-Proto, or set server.public_url.", "如果 https 由前置代理提供，请在 server.trusted_proxies 中写明该代理并让它发送 X-Forwarded-Proto，或设置 server.public_url。";
        about: "Callboard keeps every callback of your generation tasks and tells everyone who should know.", "Callboard 保存生成任务的每一次回调，并通知所有需要知道的人。";
    }
}
