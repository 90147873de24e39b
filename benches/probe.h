/* What a supervisor tells about itself at the end of a run: its heap allocations while it was in its
 * stride, how many notifications that were, and the most memory it ever held. */
#ifndef PROBE_H
#define PROBE_H

/* To be called once for each notification, from any thread. */
void probe_notification(void);

/* Writes `notifications N`, `allocations N` and `peak_rss_kib N` to standard output. */
void probe_report(void);

#endif
