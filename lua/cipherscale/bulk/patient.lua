-- SPDX-License-Identifier: MIT
--
-- The options of every call of a job, which may last for hours: the longest Retry-After to wait for
-- (seconds), and no end, but for a week, to a call that waits its turn.

return require("cipherscale.core").options { max_retry_wait = 900, total_timeout = 604800 }
