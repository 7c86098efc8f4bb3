//! The words of the house as people read them.

/// Each word, in English and in Chinese.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    // Tasks and events.
    ("pending", "pending", "等待中"),
    ("processing", "processing", "处理中"),
    ("completed", "completed", "已完成"),
    ("failed", "failed", "失败"),
    ("cancelled", "cancelled", "已取消"),
    ("task.processing", "processing", "处理中"),
    ("task.completed", "completed", "已完成"),
    ("task.failed", "failed", "失败"),
    ("task.cancelled", "cancelled", "已取消"),
    ("task.overdue", "overdue", "超时未结束"),
    ("task.conflict", "conflict", "结果冲突"),
    ("destination.disabled", "destination disabled", "目标已停用"),
    ("destination.recovered", "destination recovered", "目标已恢复"),
    ("delivery.dead", "delivery dead", "投递终止"),
    ("source.silent", "source silent", "来源无回调"),
    // Deliveries and attempts.
    ("delivered", "delivered", "已送达"),
    ("held", "held", "暂存"),
    ("dead", "dead", "已终止"),
    ("throttled", "throttled", "被限流"),
    ("gone", "gone", "已不存在"),
    ("interrupted", "interrupted", "中断"),
    // Callbacks.
    ("accepted", "accepted", "已接受"),
    ("duplicate", "duplicate", "重复"),
    ("stale", "stale", "过时"),
    ("conflict", "conflict", "冲突"),
    ("disputed", "disputed", "被否认"),
    ("quarantined", "quarantined", "已隔离"),
    ("rejected", "rejected", "已拒绝"),
    // How far something is believed, and how it became known.
    ("unsigned", "unsigned", "未签名"),
    ("shared_secret", "shared secret", "共享密钥"),
    ("signed_id", "id signed", "仅签名 ID"),
    ("signed_body", "signed", "已签名"),
    ("callback", "callback", "回调"),
    ("poll", "poll", "轮询"),
    // How sources, destinations and keys fare.
    ("well", "well", "正常"),
    ("silent", "silent", "无回调"),
    ("failing", "failing", "持续失败"),
    ("unreadable", "unreadable", "无法读取"),
    ("refused", "key refused", "密钥被拒"),
    ("enabled", "enabled", "已启用"),
    ("disabled", "disabled", "已停用"),
    ("paused", "paused", "已暂停"),
    ("holds", "valid", "有效"),
    ("expired", "expired", "已过期"),
    ("revoked", "revoked", "已吊销"),
    // Replays.
    ("running", "running", "进行中"),
    ("done", "done", "已完成"),
    // Roles.
    ("admin", "admin", "管理员"),
    ("manage", "manage", "管理"),
    ("read", "read only", "只读"),
    ("relay", "relay", "转发"),
];
