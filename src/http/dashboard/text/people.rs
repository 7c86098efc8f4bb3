//! Teams, keys, and who changed what.

use super::texts;

texts! {
    /// Teams.
    Teams {
        about: "A team owns destinations, subscriptions and keys.", "团队拥有目标、订阅和密钥。";
        new: "New team", "新建团队";
        none: "No teams yet", "还没有团队";
        none_more: "Create one: destinations, subscriptions and keys belong to teams.", "请创建团队：目标、订阅和密钥都属于团队。";
        description: "What it is", "说明";
        delete_what: "Delete the team {}?", "删除团队 {}？";
    }
}

texts! {
    /// Keys.
    Keys {
        about: "A key is shown once, when it is made; only its hash is kept.", "密钥仅在创建时显示一次；系统只保存其哈希。";
        new: "New key", "新建密钥";
        role: "Role", "角色";
        role_hint: "admin: everything, of no team. manage: change what its team owns. read: look. relay: relay and register tasks.", "admin：全部权限，不属于团队。manage：更改团队所有内容。read：仅查看。relay：转发和登记任务。";
        team_hint: "Of an admin key none.", "admin 密钥不选团队。";
        no_team: "none (admin)", "无（admin）";
        expires: "Holds until", "有效期至";
        expires_hint: "As in 2027-01-31T00:00:00Z; left empty, it does not end.", "格式如 2027-01-31T00:00:00Z；留空则长期有效。";
        made: "Made", "创建于";
        used: "Last used", "最近使用";
        revoke: "Revoke", "吊销";
        revoke_what: "Revoke the key {}? From this moment on it is no key. This cannot be undone.", "吊销密钥 {}？此后立即失效，且无法撤销。";
        revoked: "The key {} is revoked.", "密钥 {} 已吊销。";
        created: "The key {} is made.", "已创建密钥 {}。";
        to_keys: "To the keys", "返回密钥列表";
    }
}

texts! {
    /// The audit log.
    Audit {
        about: "Who changed what, the newest first.", "谁更改了什么，最新的在前。";
        none: "Nothing was changed yet", "还没有任何更改";
        none_more: "What somebody changes, replays or tries again is noted here.", "任何人的更改、重放和重试都会记录在此。";
        at: "When", "时间";
        who: "Who", "操作者";
        what: "What", "操作";
        object: "On", "对象";
        detail: "More", "详情";
        filter: "Filter", "筛选";
        action_hint: "destination.create", "destination.create";
    }
}
