"""The schemas of released versions, as dumps that tests migrate to the newest one."""
