/* SPDX-License-Identifier: MIT */
#ifndef CRABCAN_PYTHON_BINDING_H
#define CRABCAN_PYTHON_BINDING_H

/* The one file that includes Python.h. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../crabcan.h"

/*
 * The binding converts, and calls the core; it holds no policy and no default.
 * What the core reports as a number leaves here as _core.StepError(step,
 * index, errno), which the package turns into a sentence.
 */
struct module_state {
	PyObject *step_error;
	PyTypeObject *plan_type;
	PyTypeObject *process_type;
};

extern struct PyModuleDef crabcan_module;

struct module_state *state_of_type(PyTypeObject *type);
PyObject *raise_step_error(const struct module_state *state,
			   const struct crab_error *error);
/* The deadline that a timeout in seconds (None: none) gives, or -2: raised. */
int64_t deadline_of(PyObject *timeout);
/*
 * crab_block() without the GIL, again and again until something came or a
 * Python signal handler raised: 1, 0 at the deadline, -1 with an exception.
 */
int block(int fd, int64_t deadline);

/* plan_type.c */
extern PyType_Spec plan_type_spec;
struct crab_plan *plan_of(PyObject *plan);
/* process_type.c */
extern PyType_Spec process_type_spec;
PyObject *process_new(PyTypeObject *type, PyObject *plan,
		      struct crab_process *process);

#endif
