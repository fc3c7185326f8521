/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "binding.h"

struct plan_object {
	PyObject_HEAD
	struct crab_plan *plan;
};

struct crab_plan *plan_of(PyObject *plan)
{
	return ((struct plan_object *)plan)->plan;
}

/* O& converter: bytes without NUL, or None for NULL; borrowed. */
static int bytes_or_none(PyObject *object, void *ret)
{
	char *string = NULL;

	if (object != Py_None &&
	    PyBytes_AsStringAndSize(object, &string, NULL) < 0)
		return 0;
	*(const char **)ret = string;
	return 1;
}

/* A NULL-terminated array that borrows the strings of a tuple of bytes. */
static const char **borrow_strings(PyObject *tuple)
{
	Py_ssize_t count = PyTuple_Size(tuple);

	if (count < 0)
		return NULL;
	const char **strings =
		PyMem_Calloc((size_t)count + 1, sizeof(*strings));

	if (!strings) {
		PyErr_NoMemory();
		return NULL;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		if (!bytes_or_none(PyTuple_GetItem(tuple, i), &strings[i])) {
			PyMem_Free(strings);
			return NULL;
		}
	}
	return strings;
}

/* "O&" converter: bytes that may hold NUL. */
static int content_or_none(PyObject *object, void *ret)
{
	struct crab_mount *mount = ret;
	char *bytes = NULL;
	Py_ssize_t size = 0;

	if (object != Py_None &&
	    PyBytes_AsStringAndSize(object, &bytes, &size) < 0)
		return 0;
	mount->source = bytes;
	mount->size = (uint32_t)size;
	return 1;
}

static int borrow_mount(PyObject *tuple, struct crab_mount *mount)
{
	unsigned int kind;

	if (!PyArg_ParseTuple(tuple, "IIIO&O&O&O&I", &kind, &mount->flags,
			      &mount->mode, content_or_none, mount,
			      bytes_or_none, &mount->target, bytes_or_none,
			      &mount->data, bytes_or_none, &mount->upper,
			      &mount->base))
		return -1;
	mount->kind = (enum crab_mount_kind)kind;
	/* Only a file's content is more than a string. */
	if (mount->kind == CRAB_MOUNT_FILE || !mount->source ||
	    strlen(mount->source) == mount->size)
		return 0;
	PyErr_SetString(PyExc_ValueError, "embedded null byte");
	return -1;
}

static int borrow_landlock(PyObject *tuple, struct crab_landlock *rule)
{
	unsigned int kind;

	if (!PyArg_ParseTuple(tuple, "IO&H", &kind, bytes_or_none, &rule->path,
			      &rule->port))
		return -1;
	rule->kind = (enum crab_landlock_kind)kind;
	return 0;
}

static struct crab_mount *borrow_mounts(PyObject *tuple, size_t *ret_count)
{
	Py_ssize_t count = PyTuple_Size(tuple);
	struct crab_mount *mounts =
		PyMem_Calloc((size_t)count + 1, sizeof(*mounts));

	if (!mounts)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; mounts && i < count; i++) {
		if (borrow_mount(PyTuple_GetItem(tuple, i), &mounts[i]) < 0) {
			PyMem_Free(mounts);
			return NULL;
		}
	}
	*ret_count = (size_t)count;
	return mounts;
}

static struct crab_landlock *borrow_landlocks(PyObject *tuple,
					      size_t *ret_count)
{
	Py_ssize_t count = PyTuple_Size(tuple);
	struct crab_landlock *rules =
		PyMem_Calloc((size_t)count + 1, sizeof(*rules));

	if (!rules)
		PyErr_NoMemory();
	for (Py_ssize_t i = 0; rules && i < count; i++) {
		if (borrow_landlock(PyTuple_GetItem(tuple, i), &rules[i]) < 0) {
			PyMem_Free(rules);
			return NULL;
		}
	}
	*ret_count = (size_t)count;
	return rules;
}

/* Bytes that are an array of items of `item` bytes each. */
static struct crab_items items_of(const char *bytes, Py_ssize_t size,
				  size_t item)
{
	return (struct crab_items){ .items = bytes,
				    .count = (size_t)size / item };
}

static PyObject *plan_create(PyTypeObject *type, const struct crab_spec *spec)
{
	struct crab_error error;
	struct crab_plan *plan;

	if (crab_plan_create(spec, &plan, &error) < 0)
		return raise_step_error(state_of_type(type), &error);
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct plan_object *self = (struct plan_object *)alloc(type, 0);

	if (!self) {
		crab_plan_destroy(plan);
		return NULL;
	}
	self->plan = plan;
	return (PyObject *)self;
}

/* What borrow_lists() allocates; the strings in it stay Python's. */
struct lists {
	const char **executables;
	const char **argv;
	const char **environ;
	struct crab_mount *mounts;
	struct crab_landlock *landlock;
};

static void free_lists(struct lists *lists)
{
	PyMem_Free((void *)lists->executables);
	PyMem_Free((void *)lists->argv);
	PyMem_Free((void *)lists->environ);
	PyMem_Free(lists->mounts);
	PyMem_Free(lists->landlock);
}

struct tuples {
	PyObject *executables;
	PyObject *argv;
	PyObject *environ;
	PyObject *mounts;
	PyObject *landlock;
};

static int borrow_lists(struct crab_spec *spec, struct lists *lists,
			const struct tuples *tuples)
{
	if (!(lists->executables = borrow_strings(tuples->executables)) ||
	    !(lists->argv = borrow_strings(tuples->argv)) ||
	    !(lists->environ = borrow_strings(tuples->environ)) ||
	    !(lists->mounts =
		      borrow_mounts(tuples->mounts, &spec->mount_count)) ||
	    !(lists->landlock = borrow_landlocks(tuples->landlock,
						 &spec->landlock_count)))
		return -1;
	spec->executables = lists->executables;
	spec->argv = lists->argv;
	spec->environ = lists->environ;
	spec->mounts = lists->mounts;
	spec->landlock = lists->landlock;
	return 0;
}

/* The names are the stub's, in its order. */
static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "flags",
				 "clone_flags",
				 "uid",
				 "gid",
				 "hostname",
				 "root",
				 "cwd",
				 "uid_map",
				 "gid_map",
				 "executables",
				 "argv",
				 "environ",
				 "mounts",
				 "capabilities",
				 "groups",
				 "rlimits",
				 "affinity",
				 "seccomp",
				 "joins",
				 "passed",
				 "landlock",
				 "landlock_access",
				 "landlock_ports",
				 "wall_time",
				 "cpu_time",
				 "group_count",
				 "umask",
				 "nice",
				 "oom_score_adj",
				 "rows",
				 "columns",
				 NULL };
	struct crab_spec spec = { 0 };
	struct tuples tuples;
	struct lists lists = { 0 };
	unsigned long long clone_flags, capabilities, access, ports, wall_time,
		cpu_time;
	const char *groups, *rlimits, *affinity, *seccomp, *joins, *passed;
	Py_ssize_t groups_size, rlimits_size, affinity_size, seccomp_size,
		joins_size, passed_size;
	PyObject *plan = NULL;

	if (!PyArg_ParseTupleAndKeywords(
		    args, kwargs,
		    "$IKIIO&O&O&O&O&O!O!O!O!Ky#y#y#y#y#y#O!KKKKIIiiHH:Plan",
		    names, &spec.flags, &clone_flags, &spec.uid, &spec.gid,
		    bytes_or_none, &spec.hostname, bytes_or_none, &spec.root,
		    bytes_or_none, &spec.cwd, bytes_or_none, &spec.uid_map,
		    bytes_or_none, &spec.gid_map, &PyTuple_Type,
		    &tuples.executables, &PyTuple_Type, &tuples.argv,
		    &PyTuple_Type, &tuples.environ, &PyTuple_Type,
		    &tuples.mounts, &capabilities, &groups, &groups_size,
		    &rlimits, &rlimits_size, &affinity, &affinity_size,
		    &seccomp, &seccomp_size, &joins, &joins_size, &passed,
		    &passed_size, &PyTuple_Type, &tuples.landlock, &access,
		    &ports, &wall_time, &cpu_time, &spec.group_count,
		    &spec.umask, &spec.nice, &spec.oom_score_adj, &spec.rows,
		    &spec.columns))
		return NULL;
	spec.clone_flags = clone_flags;
	spec.capabilities = capabilities;
	spec.landlock_access = access;
	spec.landlock_ports = ports;
	spec.wall_time = wall_time;
	spec.cpu_time = cpu_time;
	spec.groups = items_of(groups, groups_size, sizeof(uint32_t));
	spec.rlimits = items_of(rlimits, rlimits_size,
				sizeof(struct crab_plan_rlimit));
	spec.affinity = items_of(affinity, affinity_size, sizeof(uint64_t));
	spec.seccomp =
		items_of(seccomp, seccomp_size, sizeof(struct sock_filter));
	spec.joins = items_of(joins, joins_size, sizeof(uint64_t));
	spec.passed = items_of(passed, passed_size, sizeof(int32_t));
	if (borrow_lists(&spec, &lists, &tuples) == 0)
		plan = plan_create(type, &spec);
	free_lists(&lists);
	return plan;
}

static void plan_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);

	crab_plan_destroy(plan_of(self));
	free_object(self);
	Py_DECREF(type);
}

static PyObject *plan_describe(PyObject *self, PyObject *args)
{
	char text[2 * 4096 + 64];
	unsigned int step;
	unsigned int index;

	if (!PyArg_ParseTuple(args, "II:describe", &step, &index))
		return NULL;
	crab_plan_describe(plan_of(self), step, index, text, sizeof(text));
	return PyUnicode_DecodeFSDefault(text);
}

static PyObject *plan_step_count(PyObject *self, PyObject *step)
{
	unsigned long number = PyLong_AsUnsignedLong(step);

	if (PyErr_Occurred())
		return NULL;
	return PyLong_FromUnsignedLong(
		crab_plan_step_count(plan_of(self), (uint32_t)number));
}

#define MAX_FDS 16 /* of namespaces, or of groups */

static int take_fds(PyObject *tuple, int fds[MAX_FDS], size_t *ret_count)
{
	Py_ssize_t count = PyTuple_Size(tuple);

	if (count > MAX_FDS) {
		PyErr_SetString(PyExc_ValueError, "too many descriptors");
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		fds[i] = (int)PyLong_AsLong(PyTuple_GetItem(tuple, i));
		if (PyErr_Occurred())
			return -1;
	}
	*ret_count = (size_t)count;
	return 0;
}

static PyObject *plan_launch(PyObject *self, PyObject *args)
{
	struct module_state *state = state_of_type(Py_TYPE(self));
	struct crab_process *process;
	struct crab_launch how = { 0 };
	struct crab_error error;
	int joins[MAX_FDS];
	int groups[MAX_FDS];
	PyObject *join_tuple;
	PyObject *group_tuple;
	const char *passed;
	Py_ssize_t passed_size;
	int result;

	if (!PyArg_ParseTuple(args, "(iii)iiO!O!y#:launch", &how.stdio[0],
			      &how.stdio[1], &how.stdio[2], &how.channel,
			      &how.cgroup, &PyTuple_Type, &join_tuple,
			      &PyTuple_Type, &group_tuple, &passed,
			      &passed_size) ||
	    take_fds(join_tuple, joins, &how.join_count) < 0 ||
	    take_fds(group_tuple, groups, &how.group_count) < 0)
		return NULL;
	how.joins = joins;
	how.groups = groups;
	how.passed = (const int *)(const void *)passed;
	how.passed_count = (size_t)passed_size / sizeof(int);
	Py_BEGIN_ALLOW_THREADS
	result = crab_launch(plan_of(self), &how, &process, &error);
	Py_END_ALLOW_THREADS
	if (result < 0)
		return raise_step_error(state, &error);
	return process_new(state->process_type, self, process);
}

static PyObject *plan_close_file(PyObject *self, PyObject *unused)
{
	(void)unused;
	crab_plan_close_file(plan_of(self));
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "describe", plan_describe, METH_VARARGS,
	  "What step number `step` works on, its item `index`." },
	{ "step_count", plan_step_count, METH_O,
	  "How often step number `step` is taken." },
	{ "close_file", plan_close_file, METH_NOARGS,
	  "Close the descriptor that launches are given; the next opens it "
	  "anew." },
	{ "launch", plan_launch, METH_VARARGS,
	  "Launch with (stdin, stdout, stderr), the channel's end or -1, the "
	  "cgroup to be born in or -1, the namespaces to join, the groups of "
	  "version 1 to enter, and the descriptors to pass on, as an array of "
	  "int; it waits for go_on()." },
	{ 0 },
};

static PyType_Slot slots[] = {
	{ Py_tp_doc,
	  "A compiled plan; it can be launched any number of times." },
	{ Py_tp_new, plan_new },
	{ Py_tp_dealloc, plan_dealloc },
	{ Py_tp_methods, methods },
	{ 0, NULL },
};

PyType_Spec plan_type_spec = {
	.name = "crabcan._core.Plan",
	.basicsize = sizeof(struct plan_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};
