/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/sched.h>
#include <math.h>
#include <signal.h>

#include "binding.h"

#include "../plan/boolean.h"

struct module_state *state_of_type(PyTypeObject *type)
{
	return PyType_GetModuleState(type);
}

PyObject *raise_step_error(const struct module_state *state,
			   const struct crab_error *error)
{
	PyObject *args = Py_BuildValue("IIi", (unsigned int)error->step,
				       error->index, error->errnum);

	if (args) {
		PyErr_SetObject(state->step_error, args);
		Py_DECREF(args);
	}
	return NULL;
}

int64_t deadline_of(PyObject *timeout)
{
	if (timeout == Py_None)
		return -1;
	double seconds = PyFloat_AsDouble(timeout);

	if (seconds == -1.0 && PyErr_Occurred())
		return -2;
	if (isnan(seconds)) {
		PyErr_SetString(PyExc_ValueError, "timeout is not a number");
		return -2;
	}
	if (seconds < 0)
		seconds = 0;
	/* A century is as good as for ever, and does not overflow. */
	if (seconds > 3.2e9)
		return -1;
	return crab_now() + (int64_t)(seconds * 1e9);
}

int block(int fd, int64_t deadline)
{
	for (;;) {
		int result;
		int error;

		Py_BEGIN_ALLOW_THREADS
		result = crab_block(fd, deadline);
		error = errno;
		Py_END_ALLOW_THREADS
		if (result >= 0)
			return result;
		errno = error;
		if (error != EINTR) {
			PyErr_SetFromErrno(PyExc_OSError);
			return -1;
		}
		if (PyErr_CheckSignals() < 0)
			return -1;
	}
}

static PyObject *core_socketpair(PyObject *module, PyObject *unused)
{
	int fds[2];

	(void)module;
	(void)unused;
	if (crab_socketpair(fds) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	return Py_BuildValue("ii", fds[0], fds[1]);
}

static PyObject *core_send_bool(PyObject *module, PyObject *args)
{
	PyObject *value;
	int fd;
	int result;

	(void)module;
	if (!PyArg_ParseTuple(args, "iO!:send_bool", &fd, &PyBool_Type, &value))
		return NULL;
	for (;;) {
		int error;

		Py_BEGIN_ALLOW_THREADS
		result = crab_send_bool(fd, value == Py_True);
		error = errno;
		Py_END_ALLOW_THREADS
		if (result == 0)
			break;
		errno = error;
		if (error != EINTR)
			return PyErr_SetFromErrno(PyExc_OSError);
		if (PyErr_CheckSignals() < 0)
			return NULL;
	}
	Py_RETURN_NONE;
}

/* Without a deadline it sleeps in the call itself, if it got there first. */
static int receive_bool(int fd, int64_t deadline)
{
	int result;
	int error;

	if (deadline >= 0)
		return crab_recv_bool(fd);
	Py_BEGIN_ALLOW_THREADS
	result = crab_await_bool(fd);
	error = errno;
	Py_END_ALLOW_THREADS
	errno = error;
	return result;
}

static PyObject *core_recv_bool(PyObject *module, PyObject *args)
{
	PyObject *timeout;
	int fd;

	(void)module;
	if (!PyArg_ParseTuple(args, "iO:recv_bool", &fd, &timeout))
		return NULL;
	int64_t deadline = deadline_of(timeout);

	if (deadline < -1)
		return NULL;
	for (;;) {
		int result = receive_bool(fd, deadline);

		switch (result) {
		case CRAB_TRUE:
			Py_RETURN_TRUE;
		case CRAB_FALSE:
			Py_RETURN_FALSE;
		case CRAB_CLOSED:
			errno = EPIPE;
			return PyErr_SetFromErrno(PyExc_OSError);
		case CRAB_MALFORMED:
			errno = EBADMSG;
			return PyErr_SetFromErrno(PyExc_OSError);
		}
		if (errno == EINTR && PyErr_CheckSignals() < 0)
			return NULL;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return PyErr_SetFromErrno(PyExc_OSError);
		result = block(fd, deadline);
		if (result < 0)
			return NULL;
		if (result == 0) {
			errno = ETIMEDOUT;
			return PyErr_SetFromErrno(PyExc_OSError);
		}
	}
}

static PyObject *core_open_inside(PyObject *module, PyObject *args)
{
	const char *root;
	const char *path;

	(void)module;
	if (!PyArg_ParseTuple(args, "yy:open_inside", &root, &path))
		return NULL;
	int fd = crab_open_inside(root, path);

	if (fd < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	return PyLong_FromLong(fd);
}

static PyObject *core_landlock_version(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyLong_FromLong(crab_landlock_version());
}

enum { MAX_FORWARDED = 8 };

static PyObject *core_forward_signals(PyObject *module, PyObject *args)
{
	int signums[MAX_FORWARDED];
	PyObject *numbers;
	int pidfd;

	(void)module;
	if (!PyArg_ParseTuple(args, "iO!:forward_signals", &pidfd,
			      &PyTuple_Type, &numbers))
		return NULL;
	Py_ssize_t count = PyTuple_Size(numbers);

	if (count > MAX_FORWARDED)
		return PyErr_Format(PyExc_ValueError, "at most %d signals",
				    MAX_FORWARDED);
	for (Py_ssize_t i = 0; i < count; i++) {
		long number = PyLong_AsLong(PyTuple_GetItem(numbers, i));

		if (number == -1 && PyErr_Occurred())
			return NULL;
		/* Others are refused as no signal. */
		signums[i] = number > 0 && number < NSIG ? (int)number : -1;
	}
	if (crab_forward_signals(pidfd, signums, (size_t)count) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "forward_signals", core_forward_signals, METH_VARARGS,
	  "Send these signals of ours to the process of a pidfd, for good." },
	{ "open_inside", core_open_inside, METH_VARARGS,
	  "A descriptor of a regular file of a root that may be hostile." },
	{ "landlock_version", core_landlock_version, METH_NOARGS,
	  "The version of landlock(7)'s interface, 0 where there is none." },
	{ "socketpair", core_socketpair, METH_NOARGS,
	  "A connected pair of AF_UNIX SOCK_SEQPACKET sockets, "
	  "close-on-exec." },
	{ "send_bool", core_send_bool, METH_VARARGS,
	  "Send one boolean as one datagram of one byte." },
	{ "recv_bool", core_recv_bool, METH_VARARGS,
	  "Receive one boolean. OSError: EPIPE when the peer is gone, EBADMSG "
	  "for anything that is no boolean, ETIMEDOUT." },
	{ 0 },
};

static int add_steps(PyObject *module)
{
	PyObject *steps = PyTuple_New(CRAB_STEP_COUNT);

	if (!steps)
		return -1;
	for (uint32_t i = 0; i < CRAB_STEP_COUNT; i++) {
		PyObject *row = Py_BuildValue("ss", crab_step_name(i),
					      crab_step_text(i));

		if (!row || PyTuple_SetItem(steps, i, row) < 0) {
			Py_DECREF(steps);
			return -1;
		}
	}
	int result = PyModule_AddObjectRef(module, "STEPS", steps);

	Py_DECREF(steps);
	return result;
}

static int add_constants(PyObject *module)
{
	static const struct {
		const char *name;
		long value;
	} constants[] = {
		{ "USER_NAMESPACE", CRAB_PLAN_USER_NAMESPACE },
		{ "DENY_SETGROUPS", CRAB_PLAN_DENY_SETGROUPS },
		{ "LOOPBACK", CRAB_PLAN_LOOPBACK },
		{ "ROOT_WRITABLE", CRAB_PLAN_ROOT_WRITABLE },
		{ "CHANNEL", CRAB_PLAN_CHANNEL },
		{ "SET_GROUPS", CRAB_PLAN_SET_GROUPS },
		{ "NEWIDMAP", CRAB_PLAN_NEWIDMAP },
		{ "INIT_ROOT", CRAB_PLAN_INIT_ROOT },
		{ "HOST_TREES", CRAB_PLAN_HOST_TREES },
		{ "ROOT_IDMAP", CRAB_PLAN_ROOT_IDMAP },
		{ "NO_MOUNTS", CRAB_PLAN_NO_MOUNTS },
		{ "OOM_SCORE", CRAB_PLAN_OOM_SCORE },
		{ "NICE", CRAB_PLAN_NICE },
		{ "CGROUP_NAMESPACE", CRAB_PLAN_CGROUP_NAMESPACE },
		{ "SUBREAPER", CRAB_PLAN_SUBREAPER },
		{ "TTY", CRAB_PLAN_TTY },
		{ "WARM", CRAB_PLAN_WARM },
		{ "BIND", CRAB_MOUNT_BIND },
		{ "FILESYSTEM", CRAB_MOUNT_FILESYSTEM },
		{ "DIRECTORY", CRAB_MOUNT_DIRECTORY },
		{ "SYMLINK", CRAB_MOUNT_SYMLINK },
		{ "OVERLAY", CRAB_MOUNT_OVERLAY },
		{ "FILE", CRAB_MOUNT_FILE },
		{ "MASK", CRAB_MOUNT_MASK },
		{ "PROTECT", CRAB_MOUNT_PROTECT },
		{ "READONLY", CRAB_MOUNT_READONLY },
		{ "NOSUID", CRAB_MOUNT_NOSUID },
		{ "NODEV", CRAB_MOUNT_NODEV },
		{ "NOEXEC", CRAB_MOUNT_NOEXEC },
		{ "IDMAP", CRAB_MOUNT_IDMAP },
		{ "IDMAP_IF_POSSIBLE", CRAB_MOUNT_IDMAP_IF_POSSIBLE },
		{ "NOT_RECURSIVE", CRAB_MOUNT_NOT_RECURSIVE },
		{ "BASE", CRAB_MOUNT_BASE },
		{ "LANDLOCK_READ", CRAB_LANDLOCK_READ },
		{ "LANDLOCK_WRITE", CRAB_LANDLOCK_WRITE },
		{ "LANDLOCK_CONNECT", CRAB_LANDLOCK_CONNECT },
		{ "LANDLOCK_BIND", CRAB_LANDLOCK_BIND },
		{ "CHANNEL_FD", CRAB_FD_CHANNEL },
		/* Importing Python's signal takes longer than a launch. */
		{ "SIGHUP", SIGHUP },
		{ "SIGINT", SIGINT },
		{ "SIGKILL", SIGKILL },
		{ "SIGQUIT", SIGQUIT },
		{ "SIGTERM", SIGTERM },
		{ "STEP_GROUPS", CRAB_STEP_GROUPS },
		{ "STEP_COMPILE", CRAB_STEP_COMPILE },
		{ "STEP_CONNECT", CRAB_STEP_CONNECT },
		{ "MAX_PASSED", CRAB_MAX_PASSED },
		{ "REPORT_FAILED", CRAB_REPORT_FAILED },
		{ "REPORT_STARTED", CRAB_REPORT_STARTED },
		{ "REPORT_ENDED", CRAB_REPORT_ENDED },
		{ "REQUEST_SIGNAL", CRAB_REQUEST_SIGNAL },
		{ "REQUEST_STOP", CRAB_REQUEST_STOP },
		{ "REQUEST_CONTINUE", CRAB_REQUEST_CONTINUE },
		{ "TIME_NOT_LIMITED", CRAB_TIME_NOT_LIMITED },
		{ "CLONE_NEWNS", CLONE_NEWNS },
		{ "CLONE_NEWCGROUP", CLONE_NEWCGROUP },
		{ "CLONE_NEWPID", CLONE_NEWPID },
		{ "CLONE_NEWIPC", CLONE_NEWIPC },
		{ "CLONE_NEWNET", CLONE_NEWNET },
		{ "CLONE_NEWUTS", CLONE_NEWUTS },
		{ "CLONE_NEWUSER", CLONE_NEWUSER },
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (PyModule_AddIntConstant(module, constants[i].name,
					    constants[i].value) < 0)
			return -1;
	return 0;
}

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
	PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

	if (type && PyModule_AddType(module, (PyTypeObject *)type) < 0)
		Py_CLEAR(type);
	return (PyTypeObject *)type;
}

static int module_exec(PyObject *module)
{
	struct module_state *state = PyModule_GetState(module);

	state->step_error = PyErr_NewException("crabcan._core.StepError",
					       PyExc_Exception, NULL);
	state->plan_type = add_type(module, &plan_type_spec);
	state->process_type = add_type(module, &process_type_spec);
	if (!state->step_error || !state->plan_type || !state->process_type ||
	    PyModule_AddObjectRef(module, "StepError", state->step_error) < 0 ||
	    add_steps(module) < 0 || add_constants(module) < 0)
		return -1;
	return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
	struct module_state *state = PyModule_GetState(module);

	Py_VISIT(state->step_error);
	Py_VISIT(state->plan_type);
	Py_VISIT(state->process_type);
	return 0;
}

static int module_clear(PyObject *module)
{
	struct module_state *state = PyModule_GetState(module);

	Py_CLEAR(state->step_error);
	Py_CLEAR(state->plan_type);
	Py_CLEAR(state->process_type);
	return 0;
}

static void module_free(void *module)
{
	module_clear(module);
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, module_exec },
	{ 0, NULL },
};

struct PyModuleDef crabcan_module = {
	PyModuleDef_HEAD_INIT,
	.m_name = "crabcan._core",
	.m_doc = "The C core: compile a plan, launch it, talk to it.",
	.m_size = sizeof(struct module_state),
	.m_methods = methods,
	.m_slots = slots,
	.m_traverse = module_traverse,
	.m_clear = module_clear,
	.m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
	return PyModuleDef_Init(&crabcan_module);
}
