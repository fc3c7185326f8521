/* SPDX-License-Identifier: MIT */
#include <errno.h>

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

static struct crab_mount *borrow_mounts(PyObject *tuple, size_t *ret_count)
{
	Py_ssize_t count = PyTuple_Size(tuple);

	if (count < 0)
		return NULL;
	struct crab_mount *mounts =
		PyMem_Calloc((size_t)count + 1, sizeof(*mounts));

	if (!mounts) {
		PyErr_NoMemory();
		return NULL;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		struct crab_mount *m = &mounts[i];
		unsigned int kind;
		unsigned int flags;
		unsigned int mode;

		if (!PyArg_ParseTuple(PyTuple_GetItem(tuple, i), "IIIO&O&O&",
				      &kind, &flags, &mode, bytes_or_none,
				      &m->source, bytes_or_none, &m->target,
				      bytes_or_none, &m->data)) {
			PyMem_Free(mounts);
			return NULL;
		}
		m->kind = (enum crab_mount_kind)kind;
		m->flags = flags;
		m->mode = mode;
	}
	*ret_count = (size_t)count;
	return mounts;
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

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = { "flags",    "clone_flags", "uid",  "gid",
				 "hostname", "root",	    "cwd",  "uid_map",
				 "gid_map",  "executables", "argv", "environ",
				 "mounts",   NULL };
	struct crab_spec spec = { 0 };
	unsigned int flags;
	unsigned int uid;
	unsigned int gid;
	unsigned long long clone_flags;
	PyObject *executables;
	PyObject *argv;
	PyObject *environ;
	PyObject *mounts;

	if (!PyArg_ParseTupleAndKeywords(
		    args, kwargs, "$IKIIO&O&O&O&O&O!O!O!O!:Plan", names, &flags,
		    &clone_flags, &uid, &gid, bytes_or_none, &spec.hostname,
		    bytes_or_none, &spec.root, bytes_or_none, &spec.cwd,
		    bytes_or_none, &spec.uid_map, bytes_or_none, &spec.gid_map,
		    &PyTuple_Type, &executables, &PyTuple_Type, &argv,
		    &PyTuple_Type, &environ, &PyTuple_Type, &mounts))
		return NULL;
	spec.flags = flags;
	spec.clone_flags = clone_flags;
	spec.uid = uid;
	spec.gid = gid;

	const char **names_list = borrow_strings(executables);
	const char **argv_list = names_list ? borrow_strings(argv) : NULL;
	const char **environ_list = argv_list ? borrow_strings(environ) : NULL;
	struct crab_mount *mount_list =
		environ_list ? borrow_mounts(mounts, &spec.mount_count) : NULL;
	PyObject *plan = NULL;

	if (mount_list) {
		spec.executables = names_list;
		spec.argv = argv_list;
		spec.environ = environ_list;
		spec.mounts = mount_list;
		plan = plan_create(type, &spec);
	}
	PyMem_Free(mount_list);
	PyMem_Free((void *)environ_list);
	PyMem_Free((void *)argv_list);
	PyMem_Free((void *)names_list);
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

static PyObject *plan_launch(PyObject *self, PyObject *args)
{
	struct module_state *state = state_of_type(Py_TYPE(self));
	struct crab_process *process;
	struct crab_launch how;
	struct crab_error error;
	int result;

	if (!PyArg_ParseTuple(args, "(iii)i:launch", &how.stdio[0],
			      &how.stdio[1], &how.stdio[2], &how.channel))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	result = crab_launch(plan_of(self), &how, &process, &error);
	Py_END_ALLOW_THREADS
	if (result < 0)
		return raise_step_error(state, &error);
	return process_new(state->process_type, self, process);
}

static PyMethodDef methods[] = {
	{ "describe", plan_describe, METH_VARARGS,
	  "What step number `step` works on, its item `index`." },
	{ "launch", plan_launch, METH_VARARGS,
	  "Launch with (stdin, stdout, stderr) and the channel's end or -1." },
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
