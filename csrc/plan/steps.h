/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PLAN_STEPS_H
#define CRABCAN_PLAN_STEPS_H

/*
 * Every step of a container's way into life, in the order it is taken, once.
 * X(identifier, name, what is being done). A failure travels as the number of
 * its step; the name is for programs, the text for people.
 */
#define CRAB_STEPS(X)                                                          \
	/* the caller, before the clone */                                     \
	X(GROUPS, "groups", "making the control groups")                       \
	X(COMPILE, "compile", "compiling the plan")                            \
	X(SOCKETPAIR, "socketpair", "creating the socket pair")                \
	X(IMAGE, "image", "making the sealed memory files")                    \
	X(PIDFD, "pidfd", "opening a pidfd of the caller")                     \
	X(TREES, "trees", "opening the root and the binds")                    \
	X(CLONE, "clone", "cloning into new namespaces")                       \
	/* the caller, while the child waits for its boolean */                \
	X(ENTER, "enter", "entering the namespaces to join")                   \
	X(SETGROUPS, "setgroups", "denying setgroups in the user namespace")   \
	X(GID_MAP, "gid_map", "writing the gid map")                           \
	X(UID_MAP, "uid_map", "writing the uid map")                           \
	X(IDMAP, "idmap", "giving the container's owners to")                  \
	X(CONNECT, "connect", "connecting the network")                        \
	X(HANDSHAKE, "handshake", "telling the child to go on")                \
	/* the child, before init is executed */                               \
	X(DESCRIPTORS, "descriptors", "putting the descriptors in place")      \
	X(KEEP_CAPS, "keep_caps", "keeping init's capabilities over its exec") \
	X(EXEC_INIT, "exec_init", "executing the init program")                \
	/* init */                                                             \
	X(PLAN, "plan", "reading the plan")                                    \
	X(GROUP, "group", "entering a control group")                          \
	X(OOM_SCORE, "oom_score", "setting oom_score_adj")                     \
	X(UNDUMPABLE, "undumpable", "closing init to ptrace")                  \
	X(JOIN, "join", "joining a namespace")                                 \
	X(INIT_IDS, "init_ids", "becoming id 0 of the user namespace")         \
	X(CGROUP_NAMESPACE, "cgroup_namespace",                                \
	  "unsharing the cgroup namespace")                                    \
	X(SIGNALS, "signals", "taking over the signals")                       \
	X(SESSION, "session", "starting a session of its own")                 \
	X(HOSTNAME, "hostname", "setting the hostname")                        \
	X(LOOPBACK, "loopback", "bringing the loopback interface up")          \
	X(PRIVATE, "private", "cutting mount propagation from the host")       \
	X(ROOT, "root", "mounting the root")                                   \
	X(MOUNT, "mount", "mounting")                                          \
	X(PIVOT, "pivot", "pivoting into the root")                            \
	X(ROOT_READONLY, "root_readonly", "making the root read-only")         \
	X(TERMINAL, "terminal", "opening the container's terminal")            \
	X(SPAWN, "spawn", "starting the payload's process")                    \
	/* the payload's process, before its exec */                           \
	X(PAYLOAD_SESSION, "payload_session",                                  \
	  "starting the payload's session")                                    \
	X(PAYLOAD_TERMINAL, "payload_terminal",                                \
	  "taking control of the terminal")                                    \
	X(KEYRING, "keyring", "joining a session keyring of its own")          \
	X(NICE, "nice", "setting nice")                                        \
	X(AFFINITY, "affinity", "setting the CPU affinity")                    \
	X(BOUNDING, "bounding", "emptying the capability bounding set")        \
	X(IDS, "ids", "setting the user and group ids")                        \
	X(CAPABILITIES, "capabilities", "setting the capabilities")            \
	X(CWD, "cwd", "changing to the working directory")                     \
	X(NO_NEW_PRIVS, "no_new_privs", "giving up new privileges")            \
	X(LANDLOCK, "landlock", "setting up Landlock")                         \
	X(HAND_OVER, "hand_over", "handing over the descriptors")              \
	X(RLIMIT, "rlimit", "setting the resource limit")                      \
	X(UNBLOCK, "unblock", "resetting the signals")                         \
	X(SECCOMP, "seccomp", "installing the system call filter")             \
	X(EXEC, "exec", "executing the command")

enum crab_step {
#define CRAB_STEP_ID(id, name, text) CRAB_STEP_##id,
	CRAB_STEPS(CRAB_STEP_ID)
#undef CRAB_STEP_ID
		CRAB_STEP_COUNT,
};

#endif
